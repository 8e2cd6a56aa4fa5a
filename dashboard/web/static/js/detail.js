// One alert, large, with all its fields.

import { alertsShown, lateMs } from "./alerts.js";
import { byId, make, say } from "./elements.js";
import { closeUp, picture } from "./picture.js";
import { duration, exactTime, labelsOf, oneDigit, partOf, percent, surestFirst } from "./words.js";

const CLOSE_UPS = 12;

let shown = null;

/** Open an alert, large. */
export function openAlert(alert) {
  shown = alert;
  say(byId("detail-title"), `${labelsOf(alert)} · ${alert.camera} · ${partOf(alert)}`);
  byId("detail-picture").replaceChildren(picture(alert, { labels: true }));
  byId("detail-found").replaceChildren(
    ...surestFirst(alert).slice(0, CLOSE_UPS).map((each) =>
      make(
        "li",
        {},
        alert.has_image ? closeUp(alert, each) : null,
        make("span", { class: "found-label" }, each.label),
        make("b", {}, percent(each.score)),
      ),
    ),
  );
  byId("detail-facts").replaceChildren(...facts(alert));
  const [newer, older] = neighbours();
  byId("detail-newer").disabled = !newer;
  byId("detail-older").disabled = !older;
  const dialog = byId("detail");
  if (!dialog.open) dialog.showModal();
}

/** Connect the buttons and keys of the large view. */
export function wireDetail() {
  const dialog = byId("detail");
  byId("detail-close").addEventListener("click", () => dialog.close());
  byId("detail-newer").addEventListener("click", () => step(0));
  byId("detail-older").addEventListener("click", () => step(1));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(0);
    if (event.key === "ArrowRight") step(1);
  });
}

function neighbours() {
  const alerts = alertsShown();
  const newer = alerts.filter((each) => each.n > shown.n).at(-1);
  const older = alerts.find((each) => each.n < shown.n);
  return [newer, older];
}

function step(direction) {
  const next = neighbours()[direction];
  if (next) openAlert(next);
}

function facts(alert) {
  const late = lateMs(alert);
  const entries = [
    ["Happened", exactTime(alert.happened_ms)],
    ["Arrived here", late ? `${exactTime(alert.received_ms)}, ${duration(late)} later` : "at once"],
    ["Delivery", alert.replayed ? "sent again by the station" : "first transmission"],
    ["Part", alert.part_id ?? "parts are not counted"],
    ["Frame", `${alert.frame_id}, ${alert.frame_width_px} × ${alert.frame_height_px} px`],
    ["Camera", `${alert.site} / ${alert.line} / ${alert.station} / ${alert.camera}`],
    ["Model", `${alert.model.name}, build ${alert.model.build}${alert.model.variant ? `, ${alert.model.variant}` : ""}`],
    ["Capture to decision", `${oneDigit(alert.frame_age_ms)} ms`],
    ["Line PC's clock", alert.clock_synchronized ? "synchronized" : "not synchronized"],
    ["Full picture", alert.evidence ? `${alert.evidence} on the line PC` : "not kept"],
    ["Event", alert.id],
  ];
  return entries.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
}
