// The heat map of an alert: where the class unknown scored how much, over the picture.

import { byId, makeSvg } from "../elements.js";
import { fetchFromLinePc } from "./full_picture.js";

/** Connect the button; isHere: the server has the heat map already. */
export function wireHeatMap(alert, isHere) {
  const button = byId("heat-map");
  if (!button) return;
  const url = `/api/alerts/${encodeURIComponent(alert.id)}/heat-map`;
  let isDrawn = false;
  button.addEventListener("click", async () => {
    if (button.disabled) return;
    if (!isDrawn) {
      button.disabled = true;
      isDrawn = isHere || (await fetchFromLinePc(url, () => {}));
      button.disabled = false;
      if (!isDrawn) return;
      draw(url, alert);
    }
    const isOn = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isOn));
    byId("alert").dataset.heat = isOn ? "yes" : "no";
    byId("heat-legend").hidden = !isOn;
  });
}

/** Lay it over the picture and over each crop, below the boxes. */
function draw(url, { frame_width_px: width, frame_height_px: height }) {
  const image = (values) => makeSvg("image", {
    href: url, width, height, preserveAspectRatio: "none", filter: "url(#heat-ramp)", ...values,
  });
  const overlay = makeSvg("svg", {
    viewBox: `0 0 ${width} ${height}`, class: "heat", preserveAspectRatio: "xMidYMid meet", "aria-hidden": "true",
  });
  overlay.append(image({}));
  document.querySelector("#canvas .picture .boxes").before(overlay);
  for (const crop of document.querySelectorAll("#found .close-up")) {
    crop.querySelector("rect").before(image({ class: "heat-image" }));
  }
}
