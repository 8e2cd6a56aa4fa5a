// What every page shows around its content: clock, connection, and what is wrong.

import { byId, make, say, shape } from "./elements.js";
import { connection, follow, nowMs, on } from "./live.js";
import { has, t } from "./texts.js";
import { dayOfYear, duration, timeOfDay } from "./words.js";

const TICK_MS = 500;

let state = null;

on("state", (next) => {
  state = next;
  tick();
});
on("connection", tick);
setInterval(tick, TICK_MS);
// A page with a list or with cameras opens the stream with its cursor itself.
if (document.body.dataset.live !== "own") follow();

function tick() {
  const { isLive, silentMs, isKnown } = connection();
  const now = nowMs();
  say(byId("clock"), timeOfDay(now));
  say(byId("date"), dayOfYear(now));
  const isFollowing = Boolean(isLive && state?.broker.is_up);
  const shown = isFollowing ? "yes" : isKnown || !isLive ? "no" : "init";
  byId("live").dataset.live = shown;
  say(byId("live-text"), t({ yes: "common.live", no: "common.not_live", init: "common.connecting" }[shown]));
  showBanners(isLive ? problems(now) : [["bad", "lost", t("common.no_server", { time: duration(silentMs) })]]);
}

/** What is wrong with broker, history, alarms and messages: [level, shape, text]. */
function problems(now) {
  if (!state) return [];
  const { broker, history, rejected } = state;
  const found = [];
  if (!broker.is_up) {
    const values = { address: broker.address, since: timeOfDay(broker.since_ms), time: duration(now - broker.since_ms), reason: broker.reason };
    found.push(["bad", "lost", t("common.no_broker", values)]);
  }
  if (history.failure) found.push(["bad", "lost", t("common.unwritable", { reason: history.failure })]);
  if (state.unjudged) found.push(["bad", "lost", t("common.unjudged", { reason: state.unjudged })]);
  for (const each of (state.notify ?? []).filter((receiver) => receiver.error)) {
    const values = { name: each.name, since: timeOfDay(each.since_ms), reason: each.error, n: each.waiting };
    found.push(["warn", "degraded", t("common.notify_failing", values)]);
  }
  if (state.missing) found.push(["warn", "degraded", t("common.missing", { n: state.missing })]);
  // The numbers are since the start; a reason is shown for some minutes.
  const refused = state.refused.filter((reason) => has(`common.refused_${reason}`));
  for (const reason of refused) {
    const why = t(`common.refused_${reason}`);
    found.push(["warn", "degraded", reason === "newer_schema" ? why : t("common.refused", { n: rejected[reason], why })]);
  }
  if (state.alarm && !refused.length) found.push(["warn", "degraded", t("common.suspicious", { reason: state.alarm })]);
  return found;
}

function showBanners(banners) {
  const box = byId("banners");
  while (box.children.length > banners.length) box.lastElementChild.remove();
  banners.forEach(([level, form, text], place) => {
    let banner = box.children[place];
    if (!banner || banner.dataset.form !== form) {
      const next = make("p", { class: "banner", "data-form": form }, shape(form), make("span", {}));
      if (banner) banner.replaceWith(next);
      else box.append(next);
      banner = next;
    }
    banner.dataset.level = level;
    say(banner.lastElementChild, text);
  });
}
