// The open alarms, above everything else until they are cleared.

import { byId, make, say, shape } from "../elements.js";
import { postJson } from "../requests.js";
import { t } from "../texts.js";
import { duration, oneDigit, timeOfDay } from "../words.js";

const rows = new Map(); // id → {alarm, root, text, since, seen, button}
let known = null; // ids of the alarms that were shown before; null: none was shown yet

/** Show the open alarms; returns those that are new since the last call. */
export function showAlarms(alarms) {
  const box = byId("alarms");
  const ids = new Set(alarms.map((each) => each.id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.root.remove();
    rows.delete(id);
  }
  for (const alarm of alarms) {
    if (!rows.has(alarm.id)) {
      rows.set(alarm.id, makeRow());
      box.prepend(rows.get(alarm.id).root);
    }
    updateRow(rows.get(alarm.id), alarm);
  }
  const fresh = known === null ? [] : alarms.filter((each) => !known.has(each.id));
  known = ids;
  return fresh;
}

/** Update how long the alarms have lasted. */
export function tickAlarms(nowMs) {
  for (const { alarm, since } of rows.values()) {
    say(since, t("wall.since", { at: timeOfDay(alarm.raised_ms), time: duration(nowMs - alarm.raised_ms) }));
  }
}

export function alarmText(alarm) {
  const limit = alarm.limit_value;
  if (alarm.kind === "streak") return t("wall.alarm_streak", { n: Math.round(alarm.value), limit });
  return t("wall.alarm_share", { n: alarm.parts, value: `${oneDigit(alarm.value)} %`, limit: `${limit} %` });
}

function makeRow() {
  const row = {
    place: make("b", { class: "alarm-place" }),
    text: make("span", { class: "alarm-text" }),
    since: make("span", { class: "alarm-since" }),
    seen: make("span", { class: "alarm-seen" }),
  };
  row.button = make("button", { type: "button", class: "button small" }, t("wall.acknowledge"));
  row.button.addEventListener("click", () => acknowledge(row));
  row.root = make("li", { class: "alarm" }, shape("alarm"), row.place, row.text, row.since, row.seen, row.button);
  return row;
}

function updateRow(row, alarm) {
  row.alarm = alarm;
  say(row.place, alarm.place);
  say(row.text, alarmText(alarm));
  const isSeen = alarm.acknowledged_ms > 0;
  row.root.dataset.seen = isSeen ? "yes" : "no";
  say(row.seen, isSeen ? t("wall.seen_by", { user: alarm.acknowledged_by, at: timeOfDay(alarm.acknowledged_ms) }) : "");
  row.button.hidden = isSeen || !("operator" in byId("alarms").dataset);
}

async function acknowledge(row) {
  row.button.disabled = true;
  try {
    const answer = await postJson(`/api/alarms/${row.alarm.id}/acknowledge`, {});
    updateRow(row, { ...row.alarm, ...answer });
  } catch (error) {
    say(row.seen, error.message);
  }
  row.button.disabled = false;
}
