// The queue of learning: filters apply at once, verdicts and choices are sent at once.

import { byId, say, whenChanged } from "../elements.js";
import { postJson } from "../requests.js";
import { t } from "../texts.js";

const filters = byId("filters");

whenChanged(filters, show);
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});

// The policy of the page allows no form to be sent: its values become the address.
function show() {
  const values = [...new FormData(filters)].filter(([, value]) => value);
  location.assign(`/learning?${new URLSearchParams(values)}`);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-verdict]");
  if (button) judge(button);
});

document.addEventListener("change", (event) => {
  if ("inExport" in event.target.dataset) choose(event.target);
});

async function judge(button) {
  const card = button.closest("[data-id]");
  const { verdict } = button.dataset;
  try {
    await postJson("/api/reviews", { kind: "verdict", verdict, ids: [card.dataset.id] });
    const kind = verdict === "false-alarm" ? "ok" : "bad";
    const badge = card.querySelector(".badge");
    badge.dataset.kind = kind;
    badge.querySelector("use").setAttribute("href", `/static/shapes.svg#${kind === "ok" ? "ok" : "lost"}`);
    badge.lastChild.textContent = t(`learning.kind_${verdict.replace("-", "_")}`);
    for (const each of card.querySelectorAll("button[data-verdict]")) each.remove();
    card.querySelector("[data-in-export]").focus();
  } catch (error) {
    notify(error.message);
  }
}

async function choose(box) {
  const card = box.closest("[data-id]");
  try {
    await postJson("/api/learning/left-out", { ids: [card.dataset.id], left_out: !box.checked });
    card.classList.toggle("left-out", !box.checked);
  } catch (error) {
    box.checked = !box.checked;
    notify(error.message);
  }
}

function notify(text) {
  const done = byId("done");
  done.dataset.kind = "bad";
  done.hidden = false;
  say(done, text);
}
