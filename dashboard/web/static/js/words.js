// Formats numbers and times in the language of the page, and in the plant's time zone.

import { locale, t } from "./texts.js";

const zone = document.documentElement.dataset.zone || undefined; // none: the browser's
const time = (options) =>
  new Intl.DateTimeFormat(locale, { timeZone: zone, hourCycle: "h23", ...options });
const clock = time({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const shortClock = time({ hour: "2-digit", minute: "2-digit" });
const day = time({ weekday: "long", day: "numeric", month: "long" });
const exact = time({ dateStyle: "medium", timeStyle: "medium" });
const whole = new Intl.NumberFormat(locale);
const tenth = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const hundredth = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });

export const timeOfDay = (ms) => clock.format(ms);
export const hourOfDay = (ms) => shortClock.format(ms);
export const dayOfYear = (ms) => day.format(ms);
export const exactTime = (ms) => exact.format(ms);
export const count = (value) => whole.format(value);
export const atMostTwoDigits = (value) => hundredth.format(value);
export const oneDigit = (value) => tenth.format(value);
export const percent = (share) => `${whole.format(Math.round(share * 100))} %`;

/** 0.4 %, 3.2 %, 12 %: a share of parts, where small ones matter. */
export function sharePercent(share) {
  const value = share * 100;
  return value >= 10 ? percent(share) : `${tenth.format(value)} %`;
}

/** 8 s, 2 min 05 s, 3 h 12 min, 4 days: how long something lasts. */
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  if (s < 48 * 3600) {
    return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  }
  return t("common.days", { n: Math.floor(s / 86400) });
}

/** 8 s, 2 min, 3 h, 4 days: how long something lasts, short. */
export function roughly(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 48 * 3600 ? `${Math.floor(s / 3600)} h` : t("common.days", { n: Math.floor(s / 86400) });
}

/** now, 8 s ago, 2 min ago. */
export const ago = (ms) => (ms < 2000 ? t("common.now") : t("common.ago", { time: roughly(ms) }));

export const surestFirst = (alert) => [...alert.detections].sort((a, b) => b.score - a.score);

/** scratch; or scratch ×2; or scratch +4 (of several classes): the highest score first. */
export function labelsOf(alert) {
  const found = surestFirst(alert);
  if (found.length === 1) return found[0].label;
  const isOneClass = found.every((each) => each.label === found[0].label);
  return isOneClass ? `${found[0].label} ×${found.length}` : `${found[0].label} +${found.length - 1}`;
}

/** The part if it has a name, else the frame. */
export function partOf(alert) {
  return alert.part_id ? alert.part_id : t("common.frame", { frame: String(alert.frame_id) });
}

export const bestScore = (alert) => Math.max(...alert.detections.map((each) => each.score));
