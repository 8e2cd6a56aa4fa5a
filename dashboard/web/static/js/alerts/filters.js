// The filters: each change leads to the URL of the list that it selects.

import { queryWith, whenChanged } from "../elements.js";

/** Connect the form of the filters; query: the canonical query of this page. */
export function wireFilters(form, query) {
  const given = new URLSearchParams(query);
  for (const field of form.elements) {
    if (field.name && field.type !== "checkbox" && given.has(field.name)) field.dataset.set = "";
  }
  whenChanged(form, (fields) => go(given, fields));
  form.addEventListener("submit", (event) => event.preventDefault());
  const toggle = document.getElementById("toggle-filters"); // shown on a phone only
  toggle.addEventListener("click", () => {
    const isOpen = form.toggleAttribute("data-open");
    toggle.setAttribute("aria-expanded", String(isOpen));
  });
}

function go(given, fields) {
  const next = queryWith(given, fields);
  if (next) location.assign(`/alerts?${next}`);
}
