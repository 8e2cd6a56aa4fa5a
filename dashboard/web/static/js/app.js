// Shows live events, and marks outdated data.
//
// The server's clock is the only one: ages are measured from its "now" of the last
// state, and continued with the browser's monotonic clock.

import { addAlerts, clearAlerts, tickAlerts } from "./alerts.js";
import { loadCharts, wireCharts } from "./charts.js";
import { openAlert, wireDetail } from "./detail.js";
import { byId, make, say, shape, showState } from "./elements.js";
import { camerasOf, flash, showTiles, tickTiles, worstOf } from "./tiles.js";
import { count, dayOfYear, duration, labelsOf, oneDigit, sharePercent, timeOfDay } from "./words.js";

const PAGE_ROWS = 50;
const TICK_MS = 500;
const CHARTS_EVERY_MS = 15_000;
const CHARTS_AFTER_ALERT_MS = 1_500;
const SILENT_SERVER_MS = 12_000; // it sends its state every five seconds
const BROKEN_MS = 2_500; // shorter breaks of the network are not shown
const RETRY_MS = 3_000;

// What was refused since the dashboard's start, and what a person can do about it.
const REFUSED = {
  newer_schema: () => "A station runs a newer version than this dashboard. Update Graftline on this machine.",
  wrong_station: (n) => `${n} messages were refused: they name another station than the one that sends them, or belong to the stream of another one. Was a site, line or station renamed, or a disk copied? See the dashboard's log.`,
  too_many: (n) => `${n} messages were refused: there are more stations, cameras or streams than this dashboard keeps. See its log.`,
  conflict: (n) => `${n} messages were refused: an event with the same id and other content is in the history. Another client sends under a station's name, or a disk was copied. They are not acknowledged, and kept in the table conflicts. Does the broker have an access list? See the dashboard's log.`,
  far_ahead: (n) => `${n} messages were refused: their position is too far beyond the last one of their station. Another client sends under a station's name. Does the broker have an access list? See the dashboard's log.`,
  no_room: (n) => `${n} messages were refused: the history is nearly full, and their station holds the most. The station keeps them. Is it defective, or does another client send under its name? Raise [history] max_mb, or free space on the disk. See the dashboard's log.`,
  unstorable: (n) => `${n} messages were refused: the history cannot hold them. See the dashboard's log.`,
  too_large: (n) => `${n} messages were refused: they are too large. See the dashboard's log.`,
  wrong_shape: (n) => `${n} messages were refused: a value in them does not fit. See the dashboard's log.`,
};

let state = null;
let stateAt = 0; // performance.now() when it arrived
let newest = 0;
let oldest = 0;
let events = null;
let chartsTimer = null;
let heardAt = performance.now(); // when the server last sent something
let brokenAt = null; // when the connection to it broke

const nowMs = () => (state ? state.now_ms + (performance.now() - stateAt) : Date.now());

async function start() {
  wireDetail();
  wireCharts();
  byId("older").addEventListener("click", loadOlder);
  setInterval(tick, TICK_MS);
  setInterval(loadCharts, CHARTS_EVERY_MS);
  await load();
}

/** Load everything, then follow the live events from there. */
async function load() {
  events?.close();
  try {
    const [cameras, page] = await Promise.all([
      fetchJson("/api/cameras"),
      fetchJson(`/api/alerts?limit=${PAGE_ROWS}`),
    ]);
    takeState(cameras);
    clearAlerts();
    addAlerts(page.alerts, openAlert);
    newest = page.newest;
    oldest = page.alerts.at(-1)?.n ?? 0;
    byId("older").hidden = !page.more;
    follow();
  } catch (error) {
    console.warn("not loaded", error);
    brokenAt ??= performance.now();
    setTimeout(load, RETRY_MS);
  }
  tick();
  loadCharts();
}

function follow() {
  events?.close();
  events = new EventSource(`/api/events?after=${newest}`);
  events.addEventListener("state", (event) => takeState(JSON.parse(event.data)));
  events.addEventListener("alert", (event) => takeAlert(JSON.parse(event.data)));
  events.addEventListener("reset", load);
  events.addEventListener("open", () => { brokenAt = null; });
  events.addEventListener("error", () => {
    brokenAt ??= performance.now();
    // A browser does not connect again automatically after a refusal (503).
    if (events.readyState === EventSource.CLOSED) setTimeout(load, RETRY_MS);
  });
}

async function loadOlder() {
  const page = await fetchJson(`/api/alerts?limit=${PAGE_ROWS}&before=${oldest}`);
  addAlerts(page.alerts, openAlert);
  oldest = page.alerts.at(-1)?.n ?? oldest;
  byId("older").hidden = !page.more;
}

function takeState(next) {
  state = next;
  stateAt = heardAt = performance.now();
  showTiles(state, openAlert);
  tick();
}

function takeAlert(alert) {
  heardAt = performance.now();
  const isNew = alert.n > newest; // else its picture has just arrived
  newest = Math.max(newest, alert.n);
  addAlerts([alert], openAlert, { areNew: isNew });
  if (!isNew) return;
  flash(alert);
  say(byId("spoken"), `New alert: ${labelsOf(alert)}, camera ${alert.camera}`);
  chartsTimer ??= setTimeout(() => {
    chartsTimer = null;
    loadCharts();
  }, CHARTS_AFTER_ALERT_MS);
}

function tick() {
  const now = nowMs();
  say(byId("clock"), timeOfDay(now));
  say(byId("date"), dayOfYear(now));
  const isBroken = brokenAt !== null && performance.now() - brokenAt > BROKEN_MS;
  const isLive = !isBroken && performance.now() - heardAt < SILENT_SERVER_MS;
  const isFollowing = Boolean(isLive && state?.broker.is_up);
  byId("live").dataset.live = isFollowing ? "yes" : "no";
  say(byId("live-word"), isFollowing ? "live" : "not live");
  showBanners(now, isLive);
  const isEmpty = !state || state.stations.length === 0;
  byId("board").hidden = isEmpty;
  byId("empty").hidden = !state || !isEmpty;
  if (!state) return;
  say(byId("title"), state.title);
  document.title = state.title;
  say(byId("empty-broker"), state.broker.address);
  say(byId("empty-link"), state.broker.is_up ? "The broker is connected. Waiting for a station…" : "");
  const states = tickTiles(now, state.stale_after_s * 1000);
  tickAlerts(now);
  showNumbers(states);
  showLine(states);
}

function showLine(states) {
  const worst = worstOf(states);
  const bad = states.filter((each) => ["lost", "stale", "degraded"].includes(each)).length;
  const running = states.filter((each) => each === "ok").length;
  let words = "All cameras running";
  if (!states.length) words = "Waiting for the first station";
  else if (bad) words = `${bad} of ${states.length} ${states.length === 1 ? "camera needs" : "cameras need"} attention`;
  else if (running < states.length) words = `${running} of ${states.length} cameras running`;
  showState(byId("line-state"), states.length ? worst : "init");
  say(byId("line-word"), words);
}

function showNumbers(states) {
  const cameras = camerasOf(state).map(([, camera]) => camera).filter(Boolean);
  const sum = (pick) => cameras.reduce((total, camera) => total + pick(camera), 0);
  say(byId("n-hour"), count(sum((camera) => camera.alerts_last_hour)));
  say(byId("n-minute"), oneDigit(sum((camera) => camera.alerts_per_minute)));
  const defective = sum((camera) => camera.verdicts_last_hour.defect ?? 0);
  const good = sum((camera) => camera.verdicts_last_hour.ok ?? 0);
  const counted = defective + good;
  say(byId("n-share"), counted ? sharePercent(defective / counted) : "–");
  say(byId("n-share-label"), counted ? `of ${count(counted)} parts defective` : "no parts counted");
  say(byId("n-cameras"), `${states.filter((each) => each === "ok").length} / ${states.length}`);
}

function showBanners(now, isLive) {
  const banners = [];
  if (!isLive) {
    const age = duration(performance.now() - heardAt);
    banners.push(["bad", "lost", `No connection to the dashboard's server for ${age}. What you see is old.`]);
  } else if (state) {
    const { broker, history } = state;
    if (!broker.is_up) {
      const since = `${timeOfDay(broker.since_ms)} (${duration(now - broker.since_ms)})`;
      banners.push(["bad", "lost", `Broker ${broker.address} unreachable since ${since}: ${broker.reason}. Trying again; the stations keep their alerts.`]);
    }
    if (history.failure) {
      banners.push(["bad", "lost", `The history cannot be written: ${history.failure}. The stations keep their alerts; make room on the disk.`]);
    }
    const missing = state.stations.reduce((total, station) => total + station.missing, 0);
    if (missing) banners.push(["warn", "degraded", `${count(missing)} events are missing between others. The stations send them again if they still have them.`]);
    for (const [reason, words] of Object.entries(REFUSED)) {
      const refused = state.rejected[reason];
      if (refused) banners.push(["warn", "degraded", words(count(refused))]);
    }
    if (state.alarm && !Object.keys(REFUSED).some((reason) => state.rejected[reason])) {
      banners.push(["warn", "degraded", `Something sends what no station sends: ${state.alarm}.`]);
    }
  }
  const box = byId("banners");
  while (box.children.length > banners.length) box.lastElementChild.remove();
  banners.forEach(([level, form, words], place) => {
    let banner = box.children[place];
    if (!banner || banner.dataset.form !== form) {
      const next = make("p", { class: "banner", "data-form": form }, shape(form), make("span", {}));
      if (banner) banner.replaceWith(next);
      else box.append(next);
      banner = next;
    }
    banner.dataset.level = level;
    say(banner.lastElementChild, words);
  });
}

async function fetchJson(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.json();
}

start();
