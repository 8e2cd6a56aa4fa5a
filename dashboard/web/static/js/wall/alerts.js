// The list of alerts, newest first.

import { byId, make, say } from "../elements.js";
import { picture } from "../picture.js";
import { t } from "../texts.js";
import { placeOf } from "./tiles.js";
import { ago, bestScore, duration, labelsOf, partOf, percent, roughly, timeOfDay } from "../words.js";

const ROWS_KEPT = 50; // the page /alerts has all of them
const LATE_MS = 10_000;

const rows = new Map(); // n → {alert, root, age}

export const alertsShown = () =>
  [...rows.values()].map((row) => row.alert).sort((a, b) => b.n - a.n);

/** Delay between an alert and its arrival; 0 if it was on time. */
export function lateMs(alert) {
  const late = alert.received_ms - alert.happened_ms;
  return late > LATE_MS ? late : 0;
}

/** Add alerts, in any order; an alert that is shown already is updated. */
export function addAlerts(alerts, openAlert, { areNew = false, isCalm = true } = {}) {
  const list = byId("alerts");
  for (const alert of alerts) {
    const known = rows.get(alert.n);
    const row = makeRow(alert, openAlert, areNew && isCalm && !known);
    rows.set(alert.n, row);
    if (known) {
      known.root.replaceWith(row.root);
    } else {
      const below = [...list.children].find((other) => Number(other.dataset.n) < alert.n);
      list.insertBefore(row.root, below ?? null);
    }
  }
  if (areNew) forgetOldest(list);
  byId("no-alerts").hidden = rows.size > 0;
}

export function clearAlerts() {
  rows.clear();
  byId("alerts").replaceChildren();
}

export function tickAlerts(nowMs) {
  for (const { alert, age } of rows.values()) say(age, ` · ${ago(nowMs - alert.happened_ms)}`);
}

function forgetOldest(list) {
  while (rows.size > ROWS_KEPT) {
    const last = list.lastElementChild;
    rows.delete(Number(last.dataset.n));
    last.remove();
  }
}

function makeRow(alert, openAlert, isNew) {
  const age = make("span", { class: "row-age" });
  const late = lateMs(alert);
  const badge = late
    ? make("span", { class: "badge", "data-kind": "warn", title: t("wall.late_why", { time: duration(late) }) }, t("wall.late", { time: roughly(late) }))
    : null;
  const button = make(
    "button",
    { type: "button", class: "row" },
    picture(alert, { least: 0.09 }),
    make(
      "span",
      { class: "row-text" },
      make(
        "span",
        { class: "row-line" },
        make("span", { class: "row-label" }, labelsOf(alert)),
        make("b", { class: "row-score" }, percent(bestScore(alert))),
      ),
      make("span", { class: "row-meta" }, placeOf(alert)),
      make(
        "span",
        { class: "row-line row-meta" },
        make("span", {}, `${partOf(alert)} · ${timeOfDay(alert.happened_ms)}`, badge ? null : age),
        badge,
      ),
    ),
  );
  const root = make("li", { "data-n": alert.n, class: isNew ? "new" : null }, button);
  button.addEventListener("click", () => openAlert(alert));
  return { alert, root, age };
}
