// Keeps a page of lines fresh: the server renders it again, and its content is replaced.

import { byId } from "../elements.js";

const EVERY_MS = 5000;

setInterval(refresh, EVERY_MS);
document.addEventListener("visibilitychange", refresh);

/** Load the page's content again, unless somebody uses it; quiet where that fails. */
export async function refresh({ force = false } = {}) {
  const box = byId("fresh");
  const isUsed = box.contains(document.activeElement) || document.querySelector("dialog[open]");
  if (document.hidden || (isUsed && force !== true)) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    // Parsed, not run: the server escaped every text in it, and the page runs no inline script.
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("fresh");
    const open = [...box.querySelectorAll("details")].map((each) => each.open);
    if (!next) return;
    [...next.querySelectorAll("details")].forEach((each, place) => (each.open = Boolean(open[place])));
    box.replaceChildren(...document.importNode(next, true).childNodes);
  } catch {
    // The banner of the page shows that the server is away.
  }
}
