// One alert: its picture, its boxes, and what people say about it.

import { byId, make, say } from "../elements.js";
import { on } from "../live.js";
import { closeUp, picture } from "../picture.js";
import { fetchJson } from "../requests.js";
import { t } from "../texts.js";
import { percent } from "../words.js";
import { isForPage, REVIEW_KEYS, sendReview, wireKeys, wireShelves } from "./dialogs.js";
import { badgesOf } from "./rows.js";
import { wireFullPicture } from "./full_picture.js";
import { wireHeatMap } from "./heat_map.js";
import { Viewer } from "./viewer.js";

const CLOSE_UPS = 24;
const PIXELS_FROM = 6; // from this zoom on single pixels are shown as they are

const page = byId("alert");
const alert = JSON.parse(byId("alert-data").textContent);
const mayReview = page.dataset.mayReview === "yes";
const viewer = new Viewer(byId("viewer"), byId("canvas"), showZoom);
let atBox = -1;

function start() {
  byId("viewer").style.aspectRatio = alert.frame_width_px / alert.frame_height_px;
  byId("canvas").replaceChildren(picture(alert, { labels: true }));
  byId("found").replaceChildren(...alert.detections.slice(0, CLOSE_UPS).map(foundRow));
  byId("zoom-in").addEventListener("click", () => viewer.zoomIn());
  byId("zoom-out").addEventListener("click", () => viewer.zoomOut());
  byId("zoom-fit").addEventListener("click", () => viewer.fit());
  byId("boxes").addEventListener("click", toggleBoxes);
  for (const button of page.querySelectorAll("[data-review]")) {
    button.addEventListener("click", () => review(button.dataset.review));
  }
  wireFullPicture(alert.id, page.dataset.full === "yes");
  wireHeatMap(alert, page.dataset.heatMap === "yes");
  document.addEventListener("keydown", takeKey);
  wireKeys();
  const { site, line, station, camera } = alert;
  const label = alert.detections.length === 1 ? alert.detections[0].label : "";
  wireShelves({ place: () => ({ site, line, station, camera, label }), mayReview });
  on("review", ({ ids }) => { if (ids.includes(alert.id)) reload(); });
  on("alert", (arrived) => { if (arrived.id === alert.id && !alert.has_image) location.reload(); });
}

function foundRow(detection) {
  const button = make(
    "button",
    { type: "button", "aria-label": t("alerts.show_box", { label: detection.label }) },
    alert.has_image ? closeUp(alert, detection) : null,
    make("span", { class: "found-label" }, detection.label),
    make("b", {}, percent(detection.score)),
  );
  button.addEventListener("click", () => zoomTo(detection));
  return make("li", {}, button);
}

function zoomTo(detection) {
  viewer.zoomTo(detection.box_norm, alert.frame_width_px, alert.frame_height_px);
}

function showZoom(zoom) {
  say(byId("zoom"), percent(zoom));
  byId("viewer").toggleAttribute("data-large", zoom >= PIXELS_FROM);
}

function toggleBoxes() {
  const isOn = byId("viewer").dataset.boxes === "no";
  byId("viewer").dataset.boxes = isOn ? "yes" : "no";
  byId("boxes").setAttribute("aria-pressed", String(isOn));
}

async function review(name) {
  const answer = await sendReview(name, { ids: [alert.id] });
  if (answer) reload();
}

/** Show again what people have done with this alert. */
async function reload() {
  const id = encodeURIComponent(alert.id);
  const [list, { reviews }] = await Promise.all([
    fetchJson(`/api/alert-list?id=${id}`),
    fetchJson(`/api/alerts/${id}/reviews`),
  ]);
  const now = list.alerts[0];
  byId("badges").replaceChildren(...badgesOf(now));
  byId("reviews").replaceChildren(...reviews.map(({ kind, did, who, when }) =>
    make("li", { "data-kind": kind }, make("b", {}, did), make("span", { class: "quiet" }, `${who}, ${when}`)),
  ));
  const isAcknowledged = now.acknowledged_ms !== null;
  const button = byId("acknowledge");
  if (!button) return;
  button.dataset.review = isAcknowledged ? "withdraw" : "acknowledge";
  say(button.firstElementChild, t(isAcknowledged ? "alerts.withdraw" : "alerts.acknowledge"));
  for (const each of page.querySelectorAll("[data-review][aria-pressed]")) {
    each.setAttribute("aria-pressed", String(each.dataset.review === now.verdict));
  }
}

function takeKey(event) {
  if (!isForPage(event)) return;
  const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const actions = {
    ArrowLeft: () => byId("newer")?.click(),
    ArrowRight: () => byId("older")?.click(),
    Escape: () => byId("back").click(),
    "+": () => viewer.zoomIn(),
    "=": () => viewer.zoomIn(),
    "-": () => viewer.zoomOut(),
    b: toggleBoxes,
    z: nextBox,
    f: () => byId("full-picture")?.click(),
    h: () => byId("heat-map")?.click(),
  };
  let action = actions[event.key];
  if (event.shiftKey && event.key in moves) action = () => viewer.move(...moves[event.key]);
  const isInViewer = document.activeElement === byId("viewer");
  if (event.key === "0" && (isInViewer || viewer.zoom > 1)) action = () => viewer.fit();
  if (!action && mayReview && event.key in REVIEW_KEYS) {
    action = () => review(REVIEW_KEYS[event.key]); // only a click withdraws
  }
  if (!action) return;
  event.preventDefault();
  action();
}

function nextBox() {
  atBox = (atBox + 1) % alert.detections.length;
  zoomTo(alert.detections[atBox]);
}

start();
