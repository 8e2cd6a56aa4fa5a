// Builds elements. Text that came over MQTT enters the page here and only as text
// nodes and attributes: nothing is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Make an HTML element: make("p", {class: "quiet"}, "text", child). */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set text only when it changed, so that screen readers and layout stay quiet. */
export function say(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** The shape of a state, drawn in the current colour; the names are in shapes.svg. */
export function shape(name) {
  return makeSvg(
    "svg",
    { class: "shape", "aria-hidden": "true" },
    makeSvg("use", { href: `/static/shapes.svg#${name}` }),
  );
}

const FORMS = { ok: "ok", warn: "degraded", bad: "lost", alarm: "alarm", gone: "away" };

/** A state as shape and text; kind: ok, warn, bad, alarm, gone, info, or empty. */
export function badge(kind, text, form = FORMS[kind] ?? "info") {
  return make("span", { class: "badge", "data-kind": kind }, shape(form), text);
}

/** Show a state in an element that holds a [data-shape]. */
export function showState(element, state) {
  if (element.dataset.state === state && element.querySelector(".shape")) return;
  element.dataset.state = state;
  element.querySelector("[data-shape]").replaceChildren(shape(state));
}

/** The colour of a token such as "--muted" now, for what draws on a canvas. */
export function colour(token) {
  const probe = make("i", { hidden: true });
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/**
 * Call handle(fields) for each change in a form, also for one that was made before
 * this script ran. The form has autocomplete="off", so that a browser does not fill in
 * what it held before a reload.
 *
 * A browser reports each digit of a time as a change. Times count together, once the
 * fields of times are left, or with Enter or the button [data-apply].
 */
export function whenChanged(form, handle) {
  const times = [...form.querySelectorAll('[type="datetime-local"]')];
  const apply = form.querySelector("[data-apply]");
  const before = new Map(times.map((field) => [field, shownDefault(field)]));
  const changedTimes = () => times.filter((field) => field.value !== before.get(field));
  const handleTimes = () => {
    const changed = changedTimes();
    if (changed.length) handle(changed);
  };
  form.addEventListener("change", ({ target }) => {
    if (!times.includes(target)) handle([target]);
  });
  const offer = () => {
    if (apply) apply.hidden = !changedTimes().length;
  };
  form.addEventListener("input", offer);
  form.addEventListener("focusout", ({ target, relatedTarget }) => {
    // Another window in front takes the focus too: nobody has left the field.
    if (times.includes(target) && !times.includes(relatedTarget) && document.hasFocus()) handleTimes();
  });
  form.addEventListener("keydown", ({ key, target }) => {
    if (key === "Enter" && times.includes(target)) handleTimes();
  });
  apply?.addEventListener("click", handleTimes);
  offer();
  if (!times.includes(document.activeElement)) handleTimes();
  const others = [...form.elements].filter((field) => field.name && !times.includes(field));
  const changed = others.filter(differs);
  if (changed.length) handle(changed);
}

/** The query of a page after fields of its filters have changed; null: wait for the start. */
export function queryWith(given, fields) {
  const next = new URLSearchParams(given);
  for (const field of fields) { // only what was changed: other names may have several values
    next.delete(field.name);
    const value = field.value.trim();
    const isGiven = field.type === "checkbox" ? !field.checked : Boolean(value);
    if (isGiven) next.set(field.name, value);
  }
  const names = fields.map((field) => field.name);
  if (names.includes("span")) { next.delete("from"); next.delete("to"); }
  if (names.includes("from")) {
    next.delete("span");
    if (!next.get("from")) next.delete("to");
  }
  return names.includes("to") && next.get("to") && !next.get("from") ? null : next;
}

/** The value that a field of a time had when the page came; what it cannot show is empty. */
function shownDefault(field) {
  const copy = field.cloneNode();
  copy.value = field.defaultValue;
  return copy.value;
}

function differs(field) {
  if (field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (field.tagName !== "SELECT") {
    // What the browser cannot show, it makes empty.
    return Boolean(field.value) && "defaultValue" in field && field.value !== field.defaultValue;
  }
  const given = [...field.options].findIndex((option) => option.defaultSelected);
  return field.selectedIndex !== Math.max(given, 0);
}
