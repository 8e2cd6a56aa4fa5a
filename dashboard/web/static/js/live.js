// Follows the server: one stream of events for each page.
//
// A stream may stay open and silent (a proxy that keeps it back, a network that drops
// it without a sign). The page then asks for the same with requests, and opens the
// stream again from time to time: it shows what is true now, and needs no reload.
//
// The server's clock is the only one: ages are measured from its "now" of the last
// state, and continued with the browser's monotonic clock.

import { fetchJson } from "./requests.js";

const SILENT_MS = 12_000; // the server sends its state every five seconds
const BROKEN_MS = 2_500; // shorter breaks of the network are not shown
const RETRY_MS = 3_000;
const REQUEST_MS = 10_000; // a request without an answer is given up
const REOPEN_MS = 30_000;
const TICK_MS = 1_000;
const HIDDEN_MS = 10_000; // a browser has six connections to one server for all its tabs
const ALERTS_PER_REQUEST = 200;

const listeners = new Map();
const is = { cameras: false, kept: false, opened: false, requesting: false };
let cursor = null; // of the newest alert; null: only what is new from now on
let stream = null;
let openedAt = 0;
let streamAt = 0; // when the stream last sent something
let heardAt = performance.now(); // when the server last sent anything
let brokenAt = null; // when the connection to it broke
let state = null;
let stateAt = 0;
let hiddenTimer = null;

/**
 * Call a function at each event.
 *
 * "state": the collector's state; with cameras also all stations. "alert": an alert,
 * or its picture has arrived; its n is the cursor. "review": the ids of alerts that
 * somebody has reviewed. "reset": too much was missed, load
 * again. "connection": the return value of connection() has changed.
 */
export function on(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, []);
  listeners.get(kind).push(listener);
  if (kind === "state" && state) listener(state);
}

/**
 * Open the stream.
 *
 * after: cursor of the newest alert that the page shows. cameras: the page shows
 * cameras. kept: the stream stays open while the page is hidden.
 */
export function follow({ after = null, cameras = is.cameras, kept = is.kept } = {}) {
  if (after !== null) cursor = after;
  const isOther = cameras !== is.cameras || after !== null;
  Object.assign(is, { cameras, kept });
  if (!stream || isOther) open();
  if (!is.opened) start();
}

/** The server's clock now, milliseconds since 1970. */
export const nowMs = () => (state ? state.now_ms + (performance.now() - stateAt) : Date.now());

/** isLive: the page shows what is true now. silentMs: since the server's last answer. */
export function connection() {
  const now = performance.now();
  const isBroken = brokenAt !== null && now - brokenAt > BROKEN_MS;
  const silentMs = now - heardAt;
  return { isLive: !isBroken && silentMs < SILENT_MS, silentMs, isKnown: state !== null };
}

function start() {
  is.opened = true;
  setInterval(check, TICK_MS);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiddenTimer);
    if (document.hidden && !is.kept) hiddenTimer = setTimeout(close, HIDDEN_MS);
    else if (!document.hidden && !stream) open();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => { if (!stream) open(); });
}

function close() {
  stream?.close();
  stream = null;
}

function open() {
  close();
  openedAt = streamAt = performance.now();
  const query = new URLSearchParams();
  if (cursor !== null) query.set("after", cursor);
  if (!is.cameras) query.set("cameras", "0");
  const source = new EventSource(`/api/events?${query}`);
  stream = source;
  for (const kind of ["state", "alert", "review", "reset"]) {
    source.addEventListener(kind, (event) => {
      if (source !== stream) return;
      streamAt = performance.now();
      take(kind, JSON.parse(event.data));
    });
  }
  source.addEventListener("open", () => { brokenAt = null; });
  source.addEventListener("error", () => {
    if (source !== stream) return;
    brokenAt ??= performance.now();
    // A browser does not connect again by itself after a refusal (503).
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => { if (source === stream) open(); }, RETRY_MS);
    }
  });
}

function take(kind, content) {
  heardAt = performance.now();
  if (kind === "state") {
    state = content;
    stateAt = heardAt;
  }
  if (kind === "alert") cursor = Math.max(cursor ?? 0, content.n);
  emit(kind, content);
}

function emit(kind, content) {
  for (const listener of listeners.get(kind) ?? []) listener(content);
}

/** Once a second: ask with requests while the stream says nothing. */
function check() {
  const now = performance.now();
  const isSilent = now - streamAt > SILENT_MS || brokenAt !== null;
  if (stream && isSilent && !is.requesting) ask();
  if (stream && now - streamAt > SILENT_MS && now - openedAt > REOPEN_MS) open();
  emit("connection", connection());
}

async function ask() {
  is.requesting = true;
  try {
    const options = { signal: AbortSignal.timeout(REQUEST_MS) };
    const found = await fetchJson(is.cameras ? "/api/cameras" : "/api/status", options);
    const query = cursor === null ? "limit=1" : `after=${cursor}&limit=${ALERTS_PER_REQUEST}`;
    const page = await fetchJson(`/api/alerts?${query}`, options);
    brokenAt = null;
    take("state", found);
    if (cursor === null || page.newest < cursor) {
      if (cursor !== null) emit("reset", {});
      cursor = page.newest;
    } else {
      for (const alert of page.alerts) take("alert", alert);
    }
  } catch (error) {
    brokenAt ??= performance.now();
    console.warn("no answer", error);
    if (error.status === 401) { // the login has ended
      location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    }
  }
  setTimeout(() => { is.requesting = false; }, RETRY_MS);
}
