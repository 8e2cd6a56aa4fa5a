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

// A state is shown by colour, text and shape: it must be readable without colours.
const SHAPES = {
  ok: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm-1.4 14.6-4.3-4.3 1.8-1.8 2.5 2.5 5.3-5.3 1.8 1.8z",
  degraded: "M12 1.8 23.4 22H.6zM10.7 9l.4 6.6h1.8l.4-6.6zm0 8v2.6h2.6V17z",
  lost: "M7.5 1h9L23 7.5v9L16.500 23h-9L1 16.500v-9zm.9 5.6L6.6 8.400 10.200 12l-3.600 3.600 1.800 1.800L12 13.800l3.600 3.600 1.800-1.800L13.800 12l3.600-3.600-1.800-1.800L12 10.200z",
  stale: "M12 .8 23.200 12 12 23.200.800 12zM10.800 6.500v6.300l4.200 2.600 1.200-1.900-3.200-2V6.500z",
  stopped: "M3 3h18v18H3zm4.500 4.500v9H11v-9zm5.500 0v9h3.500v-9z",
  ended: "M3 3h18v18H3zm5 5v8h8V8z",
  init: "M12 2a10 10 0 1 0 10 10h-3.200A6.800 6.800 0 1 1 12 5.200z",
};

/** The shape of a state, drawn in the current colour. */
export function shape(state) {
  return makeSvg(
    "svg",
    { viewBox: "0 0 24 24", class: "shape-svg", "aria-hidden": "true" },
    makeSvg("path", { d: SHAPES[state] ?? SHAPES.init, "fill-rule": "evenodd" }),
  );
}

/** Show a state in an element that holds a [data-shape]. */
export function showState(element, state) {
  if (element.dataset.state === state && element.querySelector(".shape-svg")) return;
  element.dataset.state = state;
  element.querySelector("[data-shape]").replaceChildren(shape(state));
}
