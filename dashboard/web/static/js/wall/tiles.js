// One tile per camera: its state now; old data is never shown as live.

import { byId, make, say, showState } from "../elements.js";
import { closeUp, picture } from "../picture.js";
import { t } from "../texts.js";
import { ago, count, duration, labelsOf, oneDigit, sharePercent, surestFirst } from "../words.js";

const WORST_FIRST = ["lost", "stale", "degraded", "stopped", "init", "ended", "ok"];

const CLOSE_UPS = 2; // shown beside the picture of a wide tile
const MANY = 12; // more tiles do not fit on the screen: faulty cameras are sorted first
const LABELLED_BOXES = 3; // more labels would cover the picture of a tile

const tiles = new Map();

/** Return the state of a camera: {state, word, why, sinceMs}. */
export function stateOf(station, camera, nowMs, staleMs) {
  const said = station.status?.state;
  const saidMs = station.said_ms;
  if (said === "lost") {
    return { state: "lost", word: t("wall.station_lost"), why: t("wall.station_lost_why"), sinceMs: saidMs };
  }
  if (said === "disconnected") {
    return { state: "stopped", word: t("wall.station_stopped"), why: station.status.reason, sinceMs: saidMs };
  }
  const heardMs = camera?.heard_ms ?? station.heard_ms;
  const status = camera?.status;
  if (status?.state === "ended") {
    return { state: "ended", word: t("wall.ended"), why: t("wall.ended_why"), sinceMs: Date.parse(status.since) };
  }
  if (!heardMs || nowMs - heardMs > staleMs) {
    return { state: "stale", word: t("wall.stale"), why: "", sinceMs: heardMs };
  }
  if (status?.state === "lost") {
    return { state: "lost", word: t("wall.camera_lost"), why: status.reason, sinceMs: Date.parse(status.since) };
  }
  if (status?.state === "degraded") return { state: "degraded", word: t("wall.degraded"), why: status.reason };
  if (said === "degraded") return { state: "degraded", word: t("wall.degraded"), why: station.status.reason };
  if (said === "init" || !status) return { state: "init", word: t("wall.init"), why: "" };
  return { state: "ok", word: t("wall.ok"), why: "" };
}

export const worstOf = (states) => WORST_FIRST.find((state) => states.includes(state)) ?? "init";

/** Return [station, camera] pairs; a station without cameras has one with null. */
export function camerasOf(state) {
  return state.stations.flatMap((station) =>
    station.cameras.length ? station.cameras.map((camera) => [station, camera]) : [[station, null]],
  );
}

/** Show the tiles of a new state. */
export function showTiles(state, openAlert) {
  const board = byId("tiles");
  const seen = new Set();
  const pairs = camerasOf(state);
  if (pairs.length > MANY) pairs.sort((a, b) => urgency(a) - urgency(b));
  board.dataset.count = pairs.length > 6 ? "many" : String(pairs.length);
  pairs.forEach(([station, camera], place) => {
    const key = keyOf(station, camera);
    seen.add(key);
    let tile = tiles.get(key);
    if (!tile) {
      tile = makeTile(openAlert);
      tiles.set(key, tile);
    }
    tile.station = station;
    tile.camera = camera;
    updateTile(tile);
    // In the order of their names; a tile that is moved would lose the focus.
    if (board.children[place] !== tile.root) board.insertBefore(tile.root, board.children[place] ?? null);
  });
  for (const [key, tile] of tiles) {
    if (!seen.has(key)) {
      tile.root.remove();
      tiles.delete(key);
    }
  }
}

const keyOf = (station, camera) => `${station.site}/${station.line}/${station.station}/${camera?.camera ?? ""}`;

/** Faulty cameras first; sort() keeps the others in the order of names. */
function urgency([station, camera]) {
  const shown = tiles.get(keyOf(station, camera))?.root.dataset.state;
  return ["lost", "stale", "degraded"].includes(shown) ? 0 : 1;
}

/** Update ages and staleness; returns the states of all cameras. */
export function tickTiles(nowMs, staleMs) {
  return [...tiles.values()].map((tile) => tickTile(tile, nowMs, staleMs));
}

/** Show on a camera's tile that an alert has just arrived. */
export function flash(alert) {
  const tile = tiles.get(`${alert.site}/${alert.line}/${alert.station}/${alert.camera}`);
  if (!tile) return;
  showPicture(tile, alert);
  tile.root.classList.remove("hit");
  void tile.root.offsetWidth; // so that the animation starts again
  tile.root.classList.add("hit");
}

function makeTile(openAlert) {
  const part = (tag, name, ...children) => make(tag, { class: name }, ...children);
  const tile = {
    state: part("p", "tile-state", make("span", { "data-shape": true, class: "shape" })),
    word: part("b", "tile-word"),
    name: part("h3", "tile-name"),
    why: part("p", "tile-why"),
    frame: make("button", { class: "tile-picture", type: "button" }),
    close: part("span", "tile-close"),
    caption: part("span", "tile-caption"),
    over: part("span", "tile-over"),
    overWord: part("b", "over-word"),
    overAge: part("span", "over-age"),
    overWhy: part("span", "over-why"),
    fps: part("b", ""),
    hour: part("b", ""),
    last: part("b", ""),
    lastLabel: part("span", ""),
    shown: null,
  };
  tile.state.append(tile.word);
  tile.over.append(tile.overWord, tile.overAge, tile.overWhy);
  tile.root = make(
    "article",
    { class: "tile" },
    part("div", "tile-head", part("div", "tile-names", tile.name), tile.state),
    part("div", "tile-screen", tile.frame, tile.close, tile.caption, tile.over),
    tile.why,
    part(
      "div",
      "tile-numbers",
      part("div", "", tile.fps, make("span", {}, t("wall.frames_per_second"))),
      part("div", "", tile.hour, make("span", {}, t("wall.alerts_per_hour"))),
      part("div", "", tile.last, tile.lastLabel),
    ),
  );
  tile.frame.addEventListener("click", () => tile.shown && openAlert(tile.shown));
  return tile;
}

function updateTile(tile) {
  const { station, camera } = tile;
  say(tile.name, [station.line, station.station, camera?.camera].filter(Boolean).join(" · "));
  say(tile.hour, camera ? count(camera.alerts_last_hour) : "–");
  showShare(tile, camera);
  const last = camera?.last_alert;
  if (!last) {
    if (!tile.frame.firstChild) tile.frame.append(make("span", { class: "no-picture" }, t("wall.no_alert_yet")));
  } else if (!tile.shown || last.n >= tile.shown.n) {
    showPicture(tile, last);
  }
}

/** Defective parts where parts are counted, else alerts per minute. */
function showShare(tile, camera) {
  const verdicts = camera?.verdicts_last_hour ?? {};
  const inspected = (verdicts.ok ?? 0) + (verdicts.defect ?? 0);
  if (inspected) {
    say(tile.last, sharePercent((verdicts.defect ?? 0) / inspected));
    say(tile.lastLabel, t("wall.defective"));
  } else {
    say(tile.last, camera ? oneDigit(camera.alerts_per_minute) : "–");
    say(tile.lastLabel, t("wall.alerts_per_minute"));
  }
}

function showPicture(tile, alert) {
  const key = `${alert.id} ${alert.has_image}`;
  const isNew = tile.key !== key;
  tile.key = key;
  tile.shown = alert;
  if (!isNew) return;
  const labels = alert.detections.length <= LABELLED_BOXES;
  tile.frame.replaceChildren(picture(alert, { least: 0.05, labels }));
  const closeUps = alert.has_image ? surestFirst(alert).slice(0, CLOSE_UPS) : [];
  tile.close.replaceChildren(...closeUps.map((each) => closeUp(alert, each)));
  tile.frame.setAttribute("aria-label", t("wall.last_alert", { labels: labelsOf(alert) }));
}

function tickTile(tile, nowMs, staleMs) {
  const { state, word, why, sinceMs } = stateOf(tile.station, tile.camera, nowMs, staleMs);
  showState(tile.state, state);
  tile.root.dataset.state = state;
  say(tile.word, t(`wall.${state}`));
  say(tile.why, why && state === "degraded" ? why : "");
  const isOld = !["ok", "degraded", "init"].includes(state);
  tile.over.hidden = !isOld;
  if (isOld) {
    say(tile.overWord, word);
    say(tile.overAge, sinceMs ? t("wall.for_time", { time: duration(nowMs - sinceMs) }) : t("wall.never_live"));
    say(tile.overWhy, why);
  }
  say(tile.fps, isOld || !tile.camera ? "–" : oneDigit(tile.camera.stats?.fps ?? tile.camera.status?.fps ?? 0));
  const { shown } = tile;
  say(
    tile.caption,
    shown && !isOld ? `${labelsOf(shown)} · ${ago(nowMs - shown.happened_ms)}` : "",
  );
  return state;
}
