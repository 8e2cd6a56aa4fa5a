// Settings of the plant: only what was changed is sent.

import { byId, say } from "../elements.js";
import { postJson } from "../requests.js";
import { t } from "../texts.js";
import { reloadWith } from "./notes.js";

const form = byId("settings");
const shifts = byId("shifts");
const LIMITS = ["defect_percent", "hysteresis", "streak", "parts", "minutes"];

const shiftsNow = () =>
  [...shifts.querySelectorAll(".shift")].map((row) => ({
    name: row.querySelector("[name=shift-name]").value.trim(),
    start: row.querySelector("[name=shift-start]").value,
    end: row.querySelector("[name=shift-end]").value,
  }));

const savedShifts = JSON.stringify(shiftsNow());
const valueOf = (input) => (input.type === "checkbox" ? (input.checked ? "yes" : "no") : input.value.trim());
const isChanged = (input) => valueOf(input) !== input.dataset.saved;
const fieldsOf = (row) => LIMITS.map((name) => row.querySelector(`[name=${name}]`));

byId("add-shift").addEventListener("click", (event) => {
  shifts.append(byId("shift-row").content.cloneNode(true));
  shifts.lastElementChild.querySelector("input").focus();
  event.target.disabled = shifts.children.length >= Number(event.target.dataset.most);
});

shifts.addEventListener("click", (event) => {
  if (!event.target.closest("[data-remove-shift]")) return;
  event.target.closest(".shift").remove();
  byId("add-shift").disabled = false;
});

form.addEventListener("input", (event) => {
  if ("saved" in event.target.dataset) event.target.classList.toggle("is-changed", isChanged(event.target));
});

form.addEventListener("change", (event) => {
  if (event.target.name !== "own") return;
  for (const field of fieldsOf(event.target.closest("tr"))) field.disabled = !event.target.checked;
});

form.addEventListener("reset", () => location.reload());

byId("find")?.addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const row of byId("places").children) {
    const texts = `${row.dataset.place} ${row.querySelector("[name=name]").value}`.toLowerCase();
    row.hidden = !texts.includes(wanted);
  }
});

/** A number, or null where the field is empty. */
const number = (input) => (input.value === "" ? null : Number(input.value));

function changes() {
  const body = { version: Number(form.dataset.version), names: {}, limits: {} };
  for (const name of ["zone", "language"]) {
    if (isChanged(form.elements[name])) body[name] = form.elements[name].value.trim();
  }
  if (JSON.stringify(shiftsNow()) !== savedShifts) body.shifts = shiftsNow();
  for (const row of document.querySelectorAll("[data-place]")) {
    const { place } = row.dataset;
    const name = row.querySelector("[name=name]");
    if (isChanged(name)) body.names[place] = name.value.trim() || null;
    const own = row.querySelector("[name=own]");
    if (own && (isChanged(own) || (own.checked && fieldsOf(row).some(isChanged)))) {
      body.limits[place] = own.checked ? limitOf(row) : null;
    }
  }
  const others = byId("default-limit");
  if (others && fieldsOf(others).some(isChanged)) body.default_limit = limitOf(others);
  return body;
}

function limitOf(row) {
  const limit = Object.fromEntries(fieldsOf(row).map((field) => [field.name, number(field)]));
  return { ...limit, hysteresis: limit.hysteresis ?? 0 };
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const failure = form.querySelector(".save-bar .form-error");
  const wrong = form.querySelector("input:invalid");
  if (wrong) {
    say(failure, `${wrong.ariaLabel ?? wrong.closest("label").firstChild.textContent}: ${wrong.validationMessage}`);
    wrong.focus();
    return;
  }
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  say(failure, "");
  try {
    await postJson("/api/settings", changes());
    reloadWith(t("account.saved"));
  } catch (error) {
    say(failure, error.status === 409 ? t("account.outdated") : error.message);
    button.disabled = false;
  }
});
