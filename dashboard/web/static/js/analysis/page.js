// The page of charts: filters lead to the URL that they select, charts can be zoomed.

import { byId, queryWith, whenChanged } from "../elements.js";
import { drawCharts } from "./charts.js";
import { wireForm } from "./forms.js";

const form = byId("filters");
const given = new URLSearchParams(form.dataset.query);

form.addEventListener("submit", (event) => event.preventDefault());
whenChanged(form, (fields) => {
  const next = queryWith(given, fields);
  if (next) go(next);
});

const toggle = byId("toggle-filters"); // shown on a phone only
toggle.addEventListener("click", () => {
  toggle.setAttribute("aria-expanded", String(form.toggleAttribute("data-open")));
});

byId("rules").addEventListener("change", () => {
  const on = [...document.querySelectorAll("#rules input:checked")].map((each) => each.value);
  const next = new URLSearchParams(given);
  next.set("rules", on.join(""));
  go(next);
});

byId("compare")?.addEventListener("change", () => {
  const next = new URLSearchParams(given);
  next.delete("compare");
  const builds = [...document.querySelectorAll("#compare select")].map((each) => each.value);
  if (builds[0] === builds[1]) return; // wait for the other one
  for (const build of builds) next.append("compare", build);
  go(next);
});

const recheck = byId("recheck");
if (recheck) {
  byId("open-recheck").addEventListener("click", () => recheck.showModal());
  recheck.querySelector("[data-close]").addEventListener("click", () => recheck.close());
  wireForm(recheck.querySelector("form"), "/api/analysis/rechecks", (values) => ({
    ...values,
    checked: Number(values.checked),
    defective: Number(values.defective),
  }));
}

drawCharts(JSON.parse(byId("trend-data").textContent));

function go(query) {
  location.assign(`/analysis?${query}`);
}
