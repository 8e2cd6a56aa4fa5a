// Sound and flash, where somebody has switched them on in this browser.
//
// A browser plays nothing before a person has clicked on the page: the button says so.

import { byId, say } from "../elements.js";
import { nowMs } from "../live.js";
import { t } from "../texts.js";
import { hourOfDay } from "../words.js";

const KEY = "graftline-wall";
const MUTE_MS = { 10: 600_000, 60: 3_600_000 };
const TONES = { alarm: [880, 660, 880, 660], alert: [1046], lost: [440, 330] }; // Hz
const TONE_S = 0.16;
const LOUDNESS = 0.25;
const FLASH_MS = 4_000;

const chosen = { sound: "off", flash: false, mutedUntil: 0, ...stored() };
let audio = null;
let flashTimer = null;

/** Connect the controls; initial: choices of the address, for this page only. */
export function wireSound(initial) {
  Object.assign(chosen, initial);
  for (const input of document.querySelectorAll('input[name="sound"]')) {
    input.checked = input.value === chosen.sound;
    input.addEventListener("change", () => choose({ sound: input.value, mutedUntil: 0 }));
  }
  const flash = byId("flash");
  flash.checked = chosen.flash;
  flash.addEventListener("change", () => choose({ flash: flash.checked }));
  for (const button of document.querySelectorAll("[data-mute]")) {
    button.addEventListener("click", () => choose({ mutedUntil: nowMs() + MUTE_MS[button.dataset.mute] }));
  }
  byId("sound-test").addEventListener("click", () => { wake(); play("alarm", true); });
  addEventListener("pointerdown", wake);
  addEventListener("keydown", wake);
  wake();
}

/** Sound and flash for "alarm", "lost" or "alert", as they are chosen. */
export function signal(kind) {
  if (kind === "alert" && chosen.sound !== "alerts" && !chosen.flash) return;
  play(kind, chosen.sound === "alerts" || (chosen.sound === "alarms" && kind !== "alert"));
  if (!chosen.flash) return;
  document.body.dataset.flash = kind;
  clearTimeout(flashTimer);
  flashTimer = setTimeout(() => delete document.body.dataset.flash, FLASH_MS);
}

/** Show whether there is sound. */
export function tickSound() {
  const isMuted = chosen.mutedUntil > nowMs();
  let text = t(`wall.sound_${chosen.sound}`);
  if (chosen.sound !== "off" && isMuted) text = t("wall.sound_muted", { at: hourOfDay(chosen.mutedUntil) });
  else if (chosen.sound !== "off" && audio?.state !== "running") text = t("wall.sound_click");
  say(byId("sound-state"), text);
  byId("sound-state").dataset.on = chosen.sound !== "off" && !isMuted ? "yes" : "no";
}

function choose(changes) {
  Object.assign(chosen, changes);
  wake();
  localStorage.setItem(KEY, JSON.stringify(chosen));
  tickSound();
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}

function wake() {
  if (chosen.sound === "off") return;
  audio ??= new AudioContext();
  if (audio.state === "suspended") audio.resume().then(tickSound, () => {});
}

function play(kind, isWanted) {
  if (!isWanted || chosen.mutedUntil > nowMs() || audio?.state !== "running") return;
  TONES[kind].forEach((hertz, place) => {
    const tone = audio.createOscillator();
    const loudness = audio.createGain();
    const from = audio.currentTime + place * TONE_S * 1.25;
    tone.frequency.value = hertz;
    loudness.gain.setValueAtTime(0, from);
    loudness.gain.linearRampToValueAtTime(LOUDNESS, from + 0.02);
    loudness.gain.linearRampToValueAtTime(0, from + TONE_S);
    tone.connect(loudness).connect(audio.destination);
    tone.start(from);
    tone.stop(from + TONE_S);
  });
}
