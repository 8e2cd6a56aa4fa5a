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
 * Call handle(field) for each change in a form, also for one that was made before
 * this script ran. The form has autocomplete="off", so that a browser does not fill in
 * what it held before a reload.
 */
export function whenChanged(form, handle) {
  form.addEventListener("change", ({ target }) => handle(target));
  const changed = [...form.elements].find((field) => field.name && differs(field));
  if (changed) handle(changed);
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
