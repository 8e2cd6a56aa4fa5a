// One row of the list: the server's template, filled with an alert of its API.

import { byId, make } from "../elements.js";
import { picture } from "../picture.js";
import { t } from "../texts.js";

const LEAST_SIDE = 0.09; // of a drawn box, as in the rows that the server makes

/** Return a new row for an alert. */
export function makeRow(alert) {
  const row = byId("row").content.firstElementChild.cloneNode(true);
  fillRow(row, alert);
  return row;
}

/** Show an alert in a row. */
export function fillRow(row, alert) {
  Object.assign(row.dataset, { n: alert.n, id: alert.id, key: alert.key });
  const slot = (name) => row.querySelector(`[data-slot="${name}"]`);
  for (const name of ["title", "score", "place", "part", "time", "date", "zone"]) {
    slot(name).textContent = alert[name];
  }
  slot("title").href = alert.href;
  slot("iso").dateTime = alert.iso;
  slot("picture").replaceChildren(picture(alert, { least: LEAST_SIDE }));
  slot("pick")?.setAttribute("aria-label", t("alerts.select", { title: alert.title }));
  slot("badges").replaceChildren(...badgesOf(alert));
}

/** Return the badges of an alert as elements. */
export function badgesOf(alert) {
  return alert.badges.map(({ kind, text, title }) =>
    make("span", { class: "badge", "data-kind": kind, title: title || null }, text),
  );
}

/** Return whether place a comes before place b in the list: it is newer. */
export function isBefore(a, b) {
  const [[aMs, aN], [bMs, bN]] = [a, b].map((key) => key.split("."));
  // As numbers, not texts; n may exceed what a double holds.
  return aMs !== bMs ? Number(aMs) > Number(bMs) : BigInt(aN) > BigInt(bN);
}
