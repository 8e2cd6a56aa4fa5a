// One tile per camera, grouped by line: its state now; old data is never shown as live.

import { byId, make, say, showState } from "../elements.js";
import { closeUp, picture } from "../picture.js";
import { t } from "../texts.js";
import { ago, count, duration, labelsOf, oneDigit, sharePercent, surestFirst } from "../words.js";
import { layOut } from "./layout.js";
import { isCurrent, isFaulty, stateOf } from "./states.js";

const CLOSE_UPS = 2; // shown beside the picture of a wide tile
const LABELLED_BOXES = 3; // more labels would cover the picture of a tile
const OLD_PICTURE_MS = 15 * 60_000; // from then on it is drawn pale
const LEAST = { width: 13.6, height: 12.2 }; // rem: name, state, picture and figures
const LEAST_PHONE = { width: 20, height: 1 }; // as high as what it shows
const MANY = 64; // tiles; beyond, a browser draws those in sight only
const PHONE_REM = 60;
const FRAME_PX = 3; // around all tiles, for their shadows
const HEADING_REM = 2.1;
const LONG_NAMES = [26, 52]; // characters: the type gets smaller from there on

const tiles = new Map(); // by key
const groups = new Map(); // by site and line
let openAlert = () => {};

export const keyOf = (each) => [each.site, each.line, each.station, each.camera].filter(Boolean).join("/");

/** Return [station, camera] pairs; a station without cameras has one with null. */
export function camerasOf(stations) {
  return stations.flatMap((station) =>
    station.cameras.length ? station.cameras.map((camera) => [station, camera]) : [[station, null]],
  );
}

/** Return the names to show of the place of an alert or a camera. */
export function placeOf(each) {
  const tile = tiles.get(keyOf(each));
  if (!tile) return [each.line, each.station, each.camera].join(" · ");
  return [tile.station.line_name, tile.station.station_name, tile.camera?.name].filter(Boolean).join(" · ");
}

/** Connect the tiles: open is called with the alert of a picture that is chosen. */
export function wireTiles(open) {
  openAlert = open;
  new ResizeObserver(arrange).observe(byId("tiles"));
  addEventListener("resize", arrange);
}

/** Show the tiles of these stations. */
export function showTiles(stations) {
  const seen = new Set();
  const isOneSite = new Set(stations.map((each) => each.site)).size < 2;
  for (const [station, camera] of camerasOf(stations)) {
    const key = keyOf({ ...station, camera: camera?.camera });
    seen.add(key);
    if (!tiles.has(key)) tiles.set(key, makeTile());
    const tile = tiles.get(key);
    Object.assign(tile, { key, station, camera, group: groupOf(station, isOneSite) });
    updateTile(tile, isOneSite);
  }
  for (const [key, tile] of tiles) {
    if (seen.has(key)) continue;
    tile.root.remove();
    tiles.delete(key);
  }
  placeTiles();
  arrange();
}

/** Update ages and staleness; returns the states of all tiles. */
export function tickTiles(nowMs, staleMs) {
  const states = [...tiles.values()].map((tile) => tickTile(tile, nowMs, staleMs));
  for (const group of groups.values()) {
    const mine = [...tiles.values()].filter((tile) => tile.group === group);
    const bad = mine.filter((tile) => isFaulty(tile.root.dataset.state)).length;
    say(group.count, bad ? t("wall.attention", { n: bad, all: mine.length }) : t("wall.camera_count", { n: mine.length }));
    group.count.dataset.bad = bad ? "yes" : "no";
  }
  return states;
}

/** Mark the tiles of cameras with an open alarm. */
export function markAlarms(alarms) {
  const keys = new Set(alarms.map(keyOf));
  for (const tile of tiles.values()) tile.root.classList.toggle("alarmed", keys.has(tile.key));
}

/** Show an alert that has just arrived on the tile of its camera. */
export function showNewest(alert, flashes) {
  const tile = tiles.get(keyOf(alert));
  if (!tile) return;
  showPicture(tile, alert);
  if (!flashes) return;
  tile.root.classList.add("hit");
  tile.root.classList.toggle("again"); // an animation of another name starts at once
}

// --- lines and places ---------------------------------------------------------------

function groupOf(station, isOneSite) {
  const key = `${station.site}/${station.line}`;
  if (!groups.has(key)) {
    const query = new URLSearchParams({ site: station.site, line: station.line });
    const link = make("a", { href: `/wall?${query}` });
    const number = make("span", { class: "line-count" });
    const grid = make("div", { class: "line-tiles" });
    const root = make("section", { class: "line-group" }, make("h2", { class: "line-head" }, link, number), grid);
    groups.set(key, { key, root, link, grid, count: number });
  }
  const group = groups.get(key);
  say(group.link, isOneSite ? station.line_name : `${station.site} · ${station.line_name}`);
  return group;
}

/** Put each tile in its place; one that is in its place keeps the focus. */
function placeTiles() {
  const board = byId("tiles");
  const shown = new Map();
  for (const tile of tiles.values()) {
    if (!shown.has(tile.group)) shown.set(tile.group, []);
    shown.get(tile.group).push(tile);
  }
  const order = [...shown.keys()].sort((a, b) => (a.key < b.key ? -1 : 1));
  order.forEach((group, place) => {
    putAt(board, group.root, place);
    const sorted = shown.get(group).sort((a, b) => (a.key < b.key ? -1 : 1));
    sorted.forEach((tile, at) => putAt(group.grid, tile.root, at));
  });
  for (const [key, group] of groups) {
    if (shown.has(group)) continue;
    group.root.remove();
    groups.delete(key);
  }
}

function putAt(parent, child, place) {
  if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
}

/** Choose the number of columns for the area that is there. */
function arrange() {
  const board = byId("tiles");
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  if (!board.clientWidth || !tiles.size) return;
  const isPhone = innerWidth / rem <= PHONE_REM;
  const [width, height] = [board.clientWidth, board.clientHeight].map((px) => (px - 2 * FRAME_PX) / rem);
  const area = { width, height: isPhone ? 0 : height };
  const sizes = [...groups.values()].map((group) => group.grid.children.length);
  const found = layOut(area, sizes, { least: isPhone ? LEAST_PHONE : LEAST, gap: 0.7, heading: HEADING_REM });
  board.dataset.headings = found.headings ? "yes" : "no";
  board.dataset.fits = found.fits ? "yes" : "no";
  board.dataset.many = tiles.size > MANY ? "yes" : "no";
  board.style.setProperty("--columns", found.columns);
  board.style.setProperty("--tile-height", isPhone ? "auto" : `${Math.floor(found.tileHeight * 100) / 100}rem`);
}

// --- one tile -------------------------------------------------------------------------

const part = (tag, name, ...children) => make(tag, { class: name }, ...children);

function makeFigure(name) {
  const value = make("b", {});
  const label = make("span", {});
  return { value, label, root: part("div", `figure-${name}`, value, label) };
}

function makeTile() {
  const tile = {
    state: part("p", "tile-state", make("span", { "data-shape": true })),
    word: part("b", "tile-word"),
    lineName: part("span", "tile-line"),
    placeName: part("span", "tile-station"),
    why: part("p", "tile-why"),
    frame: make("button", { class: "tile-picture", type: "button" }),
    close: part("span", "tile-close"),
    caption: part("span", "tile-caption"),
    over: part("span", "tile-over"),
    overWord: part("b", "over-word"),
    overAge: part("span", "over-age"),
    overWhy: part("span", "over-why"),
    figures: Object.fromEntries(["rate", "parts", "fps", "latency", "alerts", "model"].map((name) => [name, makeFigure(name)])),
    limit: part("span", "limit"),
    meter: make("span", { class: "meter", hidden: true }, make("i", {}), make("u", {})),
    shown: null,
  };
  tile.name = part("h3", "tile-name", tile.lineName, make("span", { class: "unseen" }, " · "), tile.placeName);
  tile.state.append(tile.word);
  tile.over.append(tile.overWord, tile.overAge, tile.overWhy);
  tile.figures.rate.root.append(tile.meter, tile.limit);
  tile.root = make(
    "article",
    { class: "tile" },
    make(
      "div",
      { class: "tile-body" },
      part("div", "tile-head", tile.name, tile.state),
      part("div", "tile-screen", tile.frame, tile.close, tile.caption, tile.over),
      part("div", "tile-foot", tile.why, part("div", "tile-numbers", ...Object.values(tile.figures).map((each) => each.root))),
    ),
  );
  tile.frame.addEventListener("click", () => tile.shown && openAlert(tile.shown));
  return tile;
}

function updateTile(tile, isOneSite) {
  const { station, camera } = tile;
  const place = [station.station_name, camera?.name].filter(Boolean).join(" · ");
  say(tile.lineName, isOneSite ? station.line_name : `${station.site} · ${station.line_name}`);
  say(tile.placeName, place);
  tile.name.dataset.long = LONG_NAMES.filter((length) => place.length > length).length;
  showFigures(tile);
  const last = camera?.last_alert;
  tile.frame.disabled = !last;
  if (!last) {
    tile.frame.setAttribute("aria-label", t("wall.no_alert_yet"));
    if (!tile.frame.firstChild) tile.frame.append(make("span", { class: "no-picture" }, t("wall.no_alert_yet")));
  } else if (!tile.shown || last.n >= tile.shown.n) {
    showPicture(tile, last);
  }
}

/** Defective parts against their limit, parts, alerts, and the model. */
function showFigures({ station, camera, figures, meter, limit: limitText }) {
  const verdicts = camera?.verdicts_last_hour ?? {};
  const defective = verdicts.defect ?? 0;
  const parts = (verdicts.ok ?? 0) + defective;
  const limit = camera?.limit?.defect_percent ?? null;
  say(figures.rate.value, parts ? sharePercent(defective / parts) : "–");
  say(figures.rate.label, t("wall.defective"));
  say(limitText, limit === null ? "" : t("wall.limit", { limit: sharePercent(limit / 100) }));
  meter.hidden = limit === null || !parts;
  if (!meter.hidden) {
    const percent = (100 * defective) / parts;
    figures.rate.root.dataset.over = percent > limit ? "yes" : "no";
    meter.firstChild.style.width = `${Math.min(100, (percent / (limit * 2)) * 100)}%`; // the limit is its middle
  }
  say(figures.parts.value, camera ? count(parts) : "–");
  say(figures.parts.label, t("wall.parts_per_hour"));
  say(figures.alerts.value, camera ? count(camera.alerts_last_hour) : "–");
  say(figures.alerts.label, t("wall.alerts_per_hour"));
  say(figures.fps.label, t("wall.frames_per_second"));
  say(figures.latency.label, t("wall.latency"));
  const model = station.status?.model;
  say(figures.model.value, model?.name ?? "–");
  say(figures.model.label, model ? t("wall.build", { build: String(model.build) }) : t("wall.model"));
}

function showPicture(tile, alert) {
  const key = `${alert.id} ${alert.has_image}`;
  const isNew = tile.pictureKey !== key;
  tile.pictureKey = key;
  tile.shown = alert;
  if (!isNew) return;
  tile.frame.disabled = false;
  const labels = alert.detections.length <= LABELLED_BOXES;
  tile.frame.replaceChildren(picture(alert, { least: 0.05, labels }));
  const closeUps = alert.has_image ? surestFirst(alert).slice(0, CLOSE_UPS) : [];
  tile.close.replaceChildren(...closeUps.map((each) => closeUp(alert, each)));
  tile.frame.setAttribute("aria-label", t("wall.last_alert", { labels: labelsOf(alert) }));
}

function tickTile(tile, nowMs, staleMs) {
  const { camera, figures, shown } = tile;
  const { state, title, why, sinceMs } = stateOf(tile.station, camera, nowMs, staleMs);
  showState(tile.state, state);
  tile.root.dataset.state = state;
  tile.state.title = state === "flashing" ? why : ""; // nothing is wrong: no room is taken for it
  say(tile.word, camera?.in_maintenance ? `${t(`wall.${state}`)} · ${t("wall.maintenance")}` : t(`wall.${state}`));
  say(tile.why, state === "degraded" ? why : "");
  const isOld = !isCurrent(state);
  tile.over.hidden = !isOld;
  if (isOld) {
    say(tile.overWord, title);
    say(tile.overAge, sinceMs ? t("wall.for_time", { time: duration(nowMs - sinceMs) }) : t("wall.never_live"));
    say(tile.overWhy, why);
  }
  const stats = isOld ? null : camera?.stats;
  const fps = isOld ? null : (camera?.stats?.fps ?? camera?.status?.fps);
  say(figures.fps.value, fps === null || fps === undefined ? "–" : oneDigit(fps));
  say(figures.latency.value, stats ? `${count(Math.round(stats.latency_ms_p50))} ms` : "–");
  const age = shown ? nowMs - shown.happened_ms : 0;
  tile.root.classList.toggle("old-picture", age > OLD_PICTURE_MS);
  say(tile.caption, shown ? `${labelsOf(shown)} · ${ago(age)}` : "");
  return state;
}
