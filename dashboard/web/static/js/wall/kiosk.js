// A screen without an operator: it stays on, hides the pointer, and turns its lines.

const POINTER_MS = 3_000;
const ROTATE_S = [5, 3600];

/** Keep the screen on and hide the pointer; a browser allows the first on https only. */
export function startKiosk() {
  const root = document.documentElement;
  let timer = null;
  const show = () => {
    root.classList.remove("no-pointer");
    clearTimeout(timer);
    timer = setTimeout(() => root.classList.add("no-pointer"), POINTER_MS);
  };
  addEventListener("pointermove", show);
  show();
  keepAwake();
  document.addEventListener("visibilitychange", keepAwake);
}

async function keepAwake() {
  if (document.hidden || !navigator.wakeLock) return;
  try {
    await navigator.wakeLock.request("screen");
  } catch (error) {
    console.warn("the screen may switch off", error);
  }
}

/** Seconds between two lines; 0 = they are not turned. */
export function rotationOf(parameters) {
  const seconds = Number(parameters.get("rotate"));
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(Math.max(seconds, ROTATE_S[0]), ROTATE_S[1]) : 0;
}

/** Return the line to show now: each in its turn, the same on all screens. */
export function lineNow(lines, seconds, nowMs) {
  return lines[Math.floor(nowMs / 1000 / seconds) % lines.length];
}
