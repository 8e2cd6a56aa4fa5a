// The filters: each change leads to the URL of the list that it selects.

import { whenChanged } from "../elements.js";

/** Connect the form of the filters; query: the canonical query of this page. */
export function wireFilters(form, query) {
  const given = new URLSearchParams(query);
  for (const field of form.elements) {
    if (field.name && field.type !== "checkbox" && given.has(field.name)) field.dataset.set = "";
  }
  whenChanged(form, (field) => go(given, field));
  form.addEventListener("submit", (event) => event.preventDefault());
  const toggle = document.getElementById("toggle-filters"); // shown on a phone only
  toggle.addEventListener("click", () => {
    const isOpen = form.toggleAttribute("data-open");
    toggle.setAttribute("aria-expanded", String(isOpen));
  });
}

function go(given, field) {
  const next = new URLSearchParams(given);
  // Only what was changed: other names may have several values.
  next.delete(field.name);
  if (field.type === "checkbox") {
    if (!field.checked) next.set(field.name, field.value);
  } else if (field.value.trim()) {
    next.set(field.name, field.value.trim());
  }
  if (field.name === "span") { next.delete("from"); next.delete("to"); }
  if (field.name === "from") {
    next.delete("span");
    if (!field.value) next.delete("to");
  }
  if (field.name === "to" && !next.get("from")) return; // wait for the start
  location.assign(`/alerts?${next}`);
}
