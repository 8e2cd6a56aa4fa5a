// The state of a camera, from what its station last sent.

import { t } from "../texts.js";

const WORST_FIRST = ["lost", "stale", "degraded", "stopped", "init", "flashing", "ended", "ok"];
const FAULTY = ["lost", "stale", "degraded"];

export const worstOf = (states) => WORST_FIRST.find((state) => states.includes(state)) ?? "init";
export const isFaulty = (state) => FAULTY.includes(state);
/** Whether what is known of a camera is of now. */
export const isCurrent = (state) => ["ok", "flashing", "degraded", "init"].includes(state);
/** Whether a camera inspects, and nothing is wrong with it. */
export const isRunning = (state) => ["ok", "flashing"].includes(state);

/** Return the state of a camera: {state, title, why, sinceMs}. */
export function stateOf(station, camera, nowMs, staleMs) {
  const reported = station.status?.state;
  if (reported === "lost") {
    return { state: "lost", title: t("wall.station_lost"), why: t("wall.station_lost_why"), sinceMs: station.said_ms };
  }
  if (reported === "disconnected") {
    return { state: "stopped", title: t("wall.station_stopped"), why: station.status.reason, sinceMs: station.said_ms };
  }
  const heardMs = camera?.heard_ms ?? station.heard_ms;
  const status = camera?.status;
  if (status?.state === "ended") {
    return { state: "ended", title: t("wall.ended"), why: t("wall.ended_why"), sinceMs: Date.parse(status.since) };
  }
  if (!heardMs || nowMs - heardMs > staleMs) {
    return { state: "stale", title: t("wall.stale"), why: t("wall.stale_why"), sinceMs: heardMs };
  }
  if (status?.state === "lost") {
    return { state: "lost", title: t("wall.camera_lost"), why: status.reason, sinceMs: Date.parse(status.since) };
  }
  if (status?.state === "degraded") return { state: "degraded", title: t("wall.degraded"), why: status.reason };
  if (reported === "degraded") return { state: "degraded", title: t("wall.degraded"), why: station.status.reason };
  if (reported === "init" || !status) return { state: "init", title: t("wall.init"), why: "" };
  if (station.flashing) {
    const { kind, reason } = station.flashing;
    return { state: "flashing", title: t("wall.flashing"), why: reason || t(`wall.flashing_${kind}`) };
  }
  return { state: "ok", title: t("wall.ok"), why: "" };
}
