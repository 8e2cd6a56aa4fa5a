// The report of a shift: printed by the browser, with a note for the next shift.

import { byId } from "../elements.js";
import { wireForm } from "./forms.js";

byId("print").addEventListener("click", () => window.print());

const note = byId("note");
const form = note.querySelector("form");
if (form) {
  const { date, shift, line } = note.dataset;
  wireForm(form, "/api/analysis/notes", ({ text }) => ({ date, shift, line, text }));
}

byId("line")?.addEventListener("change", ({ target }) => {
  const next = new URLSearchParams({ date: note.dataset.date, shift: note.dataset.shift });
  if (target.value) next.set("line", target.value);
  location.assign(`/analysis/report?${next}`);
});
