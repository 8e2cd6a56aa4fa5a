// A picture with the boxes of its alert drawn over it.

import { make, makeSvg } from "./elements.js";
import { t } from "./texts.js";
import { percent } from "./words.js";

const BOXES_SHOWN = 100; // more would only cover the picture

export const imageUrl = (alert) => `/api/alerts/${encodeURIComponent(alert.id)}/image`;

/**
 * Return a figure: the picture, and over it the boxes in frame coordinates.
 *
 * least: smallest side of a drawn box, as share of the frame's width: a defect of six
 * pixels must stay visible in a thumbnail. labels: write class and score at each box;
 * the style sheet gives their size, as share of the frame (--label).
 */
export function picture(alert, { least = 0, labels = false } = {}) {
  const width = alert.frame_width_px;
  const height = alert.frame_height_px;
  const overlay = makeSvg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    class: "boxes",
    preserveAspectRatio: "xMidYMid meet",
    "aria-hidden": "true",
  });
  for (const detection of alert.detections.slice(0, BOXES_SHOWN)) {
    overlay.append(...drawBox(detection, width, height, least));
  }
  if (labels) {
    overlay.style.setProperty("--frame", Math.max(width, height));
    for (const detection of alert.detections.slice(0, BOXES_SHOWN)) {
      overlay.append(drawLabel(detection, width, height, least));
    }
  }
  const image = alert.has_image
    ? make("img", { src: imageUrl(alert), alt: "", loading: "lazy", decoding: "async" })
    : make("span", { class: "no-picture" }, t(alert.awaits_image ? "common.picture_awaited" : "common.no_picture"));
  return make("span", { class: "picture" }, image, overlay);
}

function drawnBox({ box_norm: box }, width, height, least) {
  const side = least * width;
  const x = ((box[0] + box[2]) / 2) * width;
  const y = ((box[1] + box[3]) / 2) * height;
  const w = Math.max((box[2] - box[0]) * width, side);
  const h = Math.max((box[3] - box[1]) * height, side);
  return { x: x - w / 2, y: y - h / 2, width: w, height: h };
}

function drawBox(detection, width, height, least) {
  const box = drawnBox(detection, width, height, least);
  // Dark below, bright above: visible on every board.
  return [makeSvg("rect", { ...box, class: "box-edge" }), makeSvg("rect", { ...box, class: "box" })];
}

function drawLabel(detection, width, height, least) {
  const box = drawnBox(detection, width, height, least);
  const isHigh = box.y < height * 0.12; // no room above: write below
  const isRight = box.x > width * 0.6; // no room to the right: write to the left
  return makeSvg(
    "text",
    {
      x: isRight ? box.x + box.width : box.x,
      y: isHigh ? box.y + box.height : box.y,
      dy: isHigh ? "1.15em" : "-0.4em",
      "text-anchor": isRight ? "end" : "start",
      class: "box-label",
    },
    `${detection.label} ${percent(detection.score)}`,
  );
}

/** Return a close-up of one detection, cut out of the picture. */
export function closeUp(alert, detection) {
  const width = alert.frame_width_px;
  const height = alert.frame_height_px;
  const [x1, y1, x2, y2] = detection.box_norm;
  const side = Math.max((x2 - x1) * width, (y2 - y1) * height, width * 0.04) * 2.2;
  const left = ((x1 + x2) / 2) * width - side / 2;
  const top = ((y1 + y2) / 2) * height - side / 2;
  const box = drawnBox(detection, width, height, 0);
  return makeSvg(
    "svg",
    { viewBox: `${left} ${top} ${side} ${side}`, class: "close-up", "aria-hidden": "true" },
    makeSvg("image", { href: imageUrl(alert), width, height, preserveAspectRatio: "none" }),
    makeSvg("rect", { ...box, class: "box-edge" }),
    makeSvg("rect", { ...box, class: "box" }),
  );
}
