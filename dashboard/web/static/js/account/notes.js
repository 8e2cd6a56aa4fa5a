// What became of a change, on the pages of this area.

import { byId, say } from "../elements.js";

const KEPT = "account-note";

/** Show a line at the top of the page; kind: ok, warn or bad. */
export function notify(kind, text) {
  const box = byId("done");
  box.dataset.kind = kind;
  box.hidden = false;
  say(box, text);
  box.scrollIntoView({ block: "nearest" });
}

/** Load the page again, and show a line on it. */
export function reloadWith(text) {
  sessionStorage.setItem(KEPT, text);
  location.reload();
}

const kept = sessionStorage.getItem(KEPT);
if (kept) {
  sessionStorage.removeItem(KEPT);
  notify("ok", kept);
}
