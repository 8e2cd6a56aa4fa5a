// Reviews and shelves: their dialogs, and what is sent to the server.

import { byId, make, say } from "../elements.js";
import { fetchJson, postJson } from "../requests.js";
import { t } from "../texts.js";

const TOAST_MS = 4000;

let toastTimer = null;

/** Show a short text for some seconds; kind: "bad" for a failure. */
export function toast(text, kind = "") {
  const box = byId("toast");
  box.dataset.kind = kind;
  say(box, text);
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.hidden = true; }, TOAST_MS);
}

/** Show a dialog and return its form when it is confirmed, else null. */
export function ask(id) {
  const dialog = byId(id);
  const form = dialog.querySelector("form");
  form.reset();
  say(form.querySelector(".form-error"), "");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? form : null), { once: true });
  });
}

/**
 * Return the body of a review by its name, asking for what it needs; null: cancelled.
 *
 * name: acknowledge, withdraw, comment, or a verdict.
 */
export async function reviewBody(name) {
  if (name === "acknowledge" || name === "withdraw") return { kind: name };
  if (name === "comment") {
    const form = await ask("comment-dialog");
    return form && { kind: "comment", text: form.elements.text.value };
  }
  if (name === "other-class") {
    const form = await ask("class-dialog");
    return form && { kind: "verdict", verdict: name, label: form.elements.label.value };
  }
  return { kind: "verdict", verdict: name };
}

/** Send a review; selection: {ids} or {filter}. Returns the answer, or null. */
export async function sendReview(name, selection) {
  const body = await reviewBody(name);
  if (!body) return null;
  try {
    const answer = await postJson("/api/reviews", { ...body, ...selection });
    toast(t("alerts.changed", { n: answer.changed }));
    return answer;
  } catch (error) {
    toast(t("alerts.failed", { reason: error.message }), "bad");
    return null;
  }
}

/** The keys of reviews: what each does. */
export const REVIEW_KEYS = { a: "acknowledge", 1: "real-defect", 2: "false-alarm", 3: "other-class", 0: "none", c: "comment" };

/** Return whether a key is for the page, not for a field or the browser. */
export function isForPage(event) {
  const isTyping = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
  return !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey;
}

/** Connect the dialog of the keys with its button and with the key "?". */
export function wireKeys() {
  const open = () => byId("keys-dialog").showModal();
  byId("open-keys").addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    if (event.key === "?" && isForPage(event)) open();
  });
}

/**
 * Connect the dialog of the shelves with its button and with the key "s".
 *
 * place: returns what to fill in: {site, line, station, camera, label}.
 * mayReview: else the shelves are only shown.
 */
export function wireShelves({ place, mayReview }) {
  const dialog = byId("shelf-dialog");
  const form = dialog.querySelector("form");
  const open = () => {
    form.reset();
    say(form.querySelector(".form-error"), "");
    for (const [name, value] of Object.entries(place())) fill(form.elements[name], value);
    for (const part of form.querySelectorAll(".field, .button.primary")) {
      part.hidden = !mayReview;
    }
    dialog.showModal();
    showShelves(mayReview);
  };
  byId("open-shelf")?.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    if (event.key === "s" && isForPage(event)) open();
  });
  form.addEventListener("submit", async (event) => {
    if (event.submitter?.value !== "ok") return;
    event.preventDefault(); // the dialog stays open until the server has accepted it
    const values = Object.fromEntries(new FormData(form));
    try {
      await postJson("/api/shelves", { ...values, minutes: Number(values.minutes) });
      location.reload();
    } catch (error) {
      say(form.querySelector(".form-error"), error.message);
    }
  });
}

function fill(field, value) {
  if (!field || !value) return;
  if (field.tagName === "SELECT" && ![...field.options].some((each) => each.value === value)) {
    field.append(make("option", { value }, value));
  }
  field.value = value;
}

async function showShelves(mayReview) {
  const { shelves } = await fetchJson("/api/shelves");
  byId("no-shelves").hidden = shelves.length > 0;
  byId("shelves").replaceChildren(...shelves.map((shelf) => {
    const end = make("button", { type: "button", class: "button small" }, t("alerts.end_shelf"));
    end.addEventListener("click", async () => {
      await postJson(`/api/shelves/${shelf.k}/end`, {});
      location.reload();
    });
    const what = shelf.what.join(" / ");
    const text = t("alerts.shelf_until", { time: shelf.until, who: shelf.creator, reason: shelf.reason });
    return make("li", {}, make("span", {}, make("b", {}, what), " ", text), mayReview ? end : null);
  }));
}
