// One alert, large, with all its fields.

import { alertsShown, lateMs } from "./alerts.js";
import { byId, make, say } from "../elements.js";
import { closeUp, picture } from "../picture.js";
import { t } from "../texts.js";
import { duration, exactTime, labelsOf, oneDigit, partOf, percent, surestFirst } from "../words.js";
import { placeOf } from "./tiles.js";

const CLOSE_UPS = 12;

let shown = null;

/** Open an alert, large. */
export function openAlert(alert) {
  shown = alert;
  say(byId("detail-title"), [labelsOf(alert), placeOf(alert), partOf(alert)].join(" · "));
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
  byId("detail-link").href = `/alerts/${encodeURIComponent(alert.id)}`;
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

/** A clock that is not synchronized is corrected where its difference is known. */
function clockOf(alert) {
  if (alert.clock_synchronized) return "wall.clock_right";
  return alert.happened_ms === alert.received_ms ? "wall.clock_wrong" : "wall.clock_corrected";
}

function facts(alert) {
  const late = lateMs(alert);
  const { name, build, variant } = alert.model;
  const model = t("wall.model_build", { name, build: String(build) });
  const entries = [
    ["happened", exactTime(alert.happened_ms)],
    ["arrived", late ? t("wall.arrived_later", { at: exactTime(alert.received_ms), time: duration(late) }) : t("wall.arrived_at_once")],
    ["delivery", t(alert.replayed ? "wall.sent_again" : "wall.first_transmission")],
    ["part", alert.part_id ?? t("wall.parts_not_counted")],
    ["frame", `${alert.frame_id}, ${alert.frame_width_px} × ${alert.frame_height_px} px`],
    ["camera", `${alert.site} / ${alert.line} / ${alert.station} / ${alert.camera}`],
    ["model", variant ? `${model}, ${variant}` : model],
    ["decision", `${oneDigit(alert.frame_age_ms)} ms`],
    ["clock", t(clockOf(alert))],
    ["full_picture", alert.evidence ? t("wall.on_line_pc", { path: alert.evidence }) : t("wall.not_kept")],
    ["event", alert.id],
  ];
  return entries.flatMap(([key, value]) => [make("dt", {}, t(`wall.${key}`)), make("dd", {}, value)]);
}
