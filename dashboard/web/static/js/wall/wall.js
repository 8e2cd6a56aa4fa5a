// The wall: cameras, newest alerts and charts, live.

import { byId, say, showState } from "../elements.js";
import { follow, nowMs, on } from "../live.js";
import { fetchJson } from "../requests.js";
import { t } from "../texts.js";
import { count, labelsOf, oneDigit, sharePercent } from "../words.js";
import { addAlerts, clearAlerts, tickAlerts } from "./alerts.js";
import { loadCharts, wireCharts } from "./charts.js";
import { openAlert, wireDetail } from "./detail.js";
import { camerasOf, flash, showTiles, tickTiles, worstOf } from "./tiles.js";

const ALERTS_SHOWN = 50; // the page /alerts has all of them
const TICK_MS = 500;
const RETRY_MS = 3_000;
const CHARTS_EVERY_MS = 15_000;
const CHARTS_AFTER_ALERT_MS = 1_500;

let state = null;
let newest = 0;
let chartsTimer = null;

function start() {
  wireDetail();
  wireCharts();
  on("state", takeState);
  on("alert", takeAlert);
  on("reset", load);
  setInterval(tick, TICK_MS);
  setInterval(loadCharts, CHARTS_EVERY_MS);
  load();
}

/** Load the newest alerts, then follow the live events from there. */
async function load() {
  try {
    const page = await fetchJson(`/api/alerts?limit=${ALERTS_SHOWN}`);
    clearAlerts();
    addAlerts(page.alerts, openAlert);
    newest = page.newest;
    follow({ after: newest, cameras: true, kept: true });
  } catch (error) {
    console.warn("not loaded", error); // the banner shows that the server does not answer
    setTimeout(load, RETRY_MS);
  }
  loadCharts();
}

function takeState(next) {
  state = next;
  showTiles(state, openAlert);
  tick();
}

function takeAlert(alert) {
  const isNew = alert.n > newest; // else its picture has just arrived
  newest = Math.max(newest, alert.n);
  addAlerts([alert], openAlert, { areNew: isNew });
  if (!isNew) return;
  flash(alert);
  const place = `${alert.line} ${alert.station} ${alert.camera}`;
  say(byId("spoken"), t("wall.new_alert", { labels: labelsOf(alert), place }));
  chartsTimer ??= setTimeout(() => {
    chartsTimer = null;
    loadCharts();
  }, CHARTS_AFTER_ALERT_MS);
}

function tick() {
  if (!state) return;
  const now = nowMs();
  const isEmpty = state.stations.length === 0;
  byId("board").hidden = isEmpty;
  byId("empty").hidden = !isEmpty;
  say(byId("empty-broker"), state.broker.address);
  say(byId("empty-link"), state.broker.is_up ? t("wall.empty_connected") : "");
  const states = tickTiles(now, state.stale_after_s * 1000);
  tickAlerts(now);
  showNumbers(states);
  showLine(states);
}

function showLine(states) {
  const all = states.length;
  const bad = states.filter((each) => ["lost", "stale", "degraded"].includes(each)).length;
  const running = states.filter((each) => each === "ok").length;
  let words = t("wall.all_running");
  if (!all) words = t("wall.waiting");
  else if (bad) words = t("wall.attention", { n: bad, all });
  else if (running < all) words = t("wall.some_running", { n: running, all });
  showState(byId("line-state"), all ? worstOf(states) : "init");
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
  say(byId("n-share-label"), counted ? t("wall.parts_defective", { n: counted }) : t("wall.no_parts"));
  say(byId("n-cameras"), `${states.filter((each) => each === "ok").length} / ${states.length}`);
}

start();
