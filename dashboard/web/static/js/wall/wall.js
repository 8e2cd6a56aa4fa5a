// The wall: alarms, cameras, newest alerts and charts, live.

import { byId, say, showState } from "../elements.js";
import { follow, nowMs, on } from "../live.js";
import { fetchJson } from "../requests.js";
import { t } from "../texts.js";
import { count, labelsOf, oneDigit, sharePercent } from "../words.js";
import { alarmText, showAlarms, tickAlarms } from "./alarms.js";
import { addAlerts, clearAlerts, tickAlerts } from "./alerts.js";
import { loadCharts, wireCharts } from "./charts.js";
import { openAlert, wireDetail } from "./detail.js";
import { lineNow, rotationOf, startKiosk } from "./kiosk.js";
import { signal, tickSound, wireSound } from "./sound.js";
import { isFaulty, isRunning, worstOf } from "./states.js";
import { camerasOf, keyOf, markAlarms, placeOf, showNewest, showTiles, tickTiles, wireTiles } from "./tiles.js";

const ALERTS_SHOWN = 50; // the page /alerts has all of them
const TICK_MS = 500;
const RETRY_MS = 3_000;
const CHARTS_EVERY_MS = 15_000;
const CHARTS_AFTER_ALERT_MS = 1_500;
const CALM_ALERTS = 2; // of one drawing: where all tiles flash at once, none stands out
const DRAWN_EVERY_MS = 100; // a drawing costs a slow screen as much for one alert as for ten

const parameters = new URLSearchParams(location.search);
const chosen = { site: parameters.getAll("site"), line: parameters.getAll("line"), station: parameters.getAll("station") };
const places = new URLSearchParams(Object.entries(chosen).flatMap(([name, names]) => names.map((each) => [name, each])));
const isKiosk = document.body.matches(".kiosk");
const rotation = rotationOf(parameters);

let state = null;
let stations = []; // those that the address selects
let shown = []; // of these, the line whose turn it is
let lost = null; // number of lost cameras before
let newest = 0;
let waiting = null; // alerts that are not shown yet
let arrived = []; // alerts of the stream that are not drawn yet
let drawnAt = -DRAWN_EVERY_MS;
let drawTimer = null;
let chartsTimer = null;

function start() {
  wireTiles(openAlert);
  wireDetail();
  wireSound(soundOf(parameters));
  if (!rotation) wireCharts(places);
  if (isKiosk) startKiosk();
  on("state", takeState);
  on("alert", takeAlert);
  on("reset", load);
  setInterval(tick, TICK_MS);
  if (!rotation) setInterval(loadCharts, CHARTS_EVERY_MS);
  load();
}

/** Load the newest alerts, then follow the live events from there. */
async function load() {
  try {
    const page = await fetchJson(`/api/alerts?limit=${ALERTS_SHOWN}&${places}`);
    clearAlerts();
    arrived = [];
    if (state) showAlerts(page.alerts);
    else waiting = page.alerts; // the board is shown with the first state
    newest = page.newest;
    follow({ after: newest, cameras: true, kept: true });
  } catch (error) {
    console.warn("not loaded", error); // the banner shows that the server does not answer
    setTimeout(load, RETRY_MS);
  }
  loadChartsSoon(0);
}

function showAlerts(alerts) {
  addAlerts(alerts.filter(matches), openAlert);
}

function matches(each) {
  return Object.entries(chosen).every(([name, wanted]) => !wanted.length || wanted.includes(each[name]));
}

function takeState(next) {
  // A screen without an operator takes the pages of the version that has started.
  if (isKiosk && state && state.started_ms !== next.started_ms) location.reload();
  state = next;
  stations = state.stations.filter(matches);
  const alarms = state.alarms.filter(matches);
  for (const alarm of showAlarms(alarms)) {
    say(byId("spoken-alarm"), `${alarm.place}: ${alarmText(alarm)}`);
    signal("alarm");
  }
  showLineOf(nowMs());
  markAlarms(alarms);
  tick();
  if (waiting) showAlerts(waiting);
  waiting = null;
}

/** Show all that is chosen, or the line whose turn it is. */
function showLineOf(now) {
  const lines = [...new Set(stations.map((each) => `${each.site}/${each.line}`))];
  const shownLine = rotation && lines.length ? lineNow(lines, rotation, now) : null;
  shown = shownLine ? stations.filter((each) => `${each.site}/${each.line}` === shownLine) : stations;
  showTiles(shown);
}

function takeAlert(alert) {
  const isNew = alert.n > newest; // else its picture has just arrived
  newest = Math.max(newest, alert.n);
  if (!matches(alert)) return;
  arrived.push({ alert, isNew });
  drawTimer ??= setTimeout(drawAlerts, Math.max(0, drawnAt + DRAWN_EVERY_MS - performance.now()));
}

/** Show the alerts that have arrived since the last time. */
function drawAlerts() {
  drawTimer = null;
  drawnAt = performance.now();
  const drawn = arrived.slice(-ALERTS_SHOWN);
  arrived = [];
  const isCalm = drawn.length <= CALM_ALERTS;
  for (const { alert, isNew } of drawn) addAlerts([alert], openAlert, { areNew: isNew, isCalm });
  const fresh = drawn.filter((each) => each.isNew).map((each) => each.alert);
  if (!fresh.length) return;
  for (const alert of new Map(fresh.map((each) => [keyOf(each), each])).values()) {
    showNewest(alert, isCalm);
  }
  signal("alert");
  const alert = fresh.at(-1);
  say(byId("spoken"), t("wall.new_alert", { labels: labelsOf(alert), place: placeOf(alert) }));
  loadChartsSoon(CHARTS_AFTER_ALERT_MS);
}

function loadChartsSoon(afterMs) {
  if (rotation) return;
  chartsTimer ??= setTimeout(() => {
    chartsTimer = null;
    loadCharts();
  }, afterMs);
}

function tick() {
  if (!state) return;
  const now = nowMs();
  const isEmpty = state.stations.length === 0;
  byId("board").hidden = isEmpty || !stations.length;
  byId("empty").hidden = !isEmpty;
  byId("none-chosen").hidden = isEmpty || stations.length > 0;
  say(byId("empty-broker"), state.broker.address);
  say(byId("empty-link"), state.broker.is_up ? t("wall.empty_connected") : "");
  if (rotation) showLineOf(now);
  const states = tickTiles(now, state.stale_after_s * 1000);
  tickAlerts(now);
  tickAlarms(now);
  tickSound();
  showNumbers(states);
  showLine(states);
}

function showLine(states) {
  const all = states.length;
  const bad = states.filter(isFaulty).length;
  const running = states.filter(isRunning).length;
  let words = t("wall.all_running");
  if (!all) words = t("wall.waiting");
  else if (bad) words = t("wall.attention", { n: bad, all });
  else if (running < all) words = t("wall.some_running", { n: running, all });
  showState(byId("line-state"), all ? worstOf(states) : "init");
  say(byId("line-word"), words);
  const gone = states.filter((each) => each === "lost").length;
  if (lost !== null && gone > lost && !rotation) signal("lost");
  lost = gone;
}

function showNumbers(states) {
  const cameras = camerasOf(shown).map(([, camera]) => camera).filter(Boolean);
  const sum = (pick) => cameras.reduce((total, camera) => total + pick(camera), 0);
  say(byId("n-hour"), count(sum((camera) => camera.alerts_last_hour)));
  say(byId("n-minute"), oneDigit(sum((camera) => camera.alerts_per_minute)));
  const defective = sum((camera) => camera.verdicts_last_hour.defect ?? 0);
  const good = sum((camera) => camera.verdicts_last_hour.ok ?? 0);
  const counted = defective + good;
  say(byId("n-share"), counted ? sharePercent(defective / counted) : "–");
  say(byId("n-share-label"), counted ? t("wall.parts_defective", { n: counted }) : t("wall.no_parts"));
  say(byId("n-cameras"), `${states.filter(isRunning).length} / ${states.length}`);
}

function soundOf(wanted) {
  const sound = wanted.get("sound");
  const flashes = wanted.get("flash");
  return {
    ...(["off", "alarms", "alerts"].includes(sound) ? { sound } : {}),
    ...(flashes === null ? {} : { flash: flashes === "1" }),
  };
}

start();
