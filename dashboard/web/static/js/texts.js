// Texts in the language of the page, from the element with the id "texts".

const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");

export const language = document.documentElement.lang || "en";
// The reader's variety of the page's language: 30/11 for British, 11/30 for Americans.
export const locale =
  navigator.languages?.find((each) => each.split("-")[0] === language) ?? language;
const whole = new Intl.NumberFormat(locale);

/** Return the text of "<area>.<key>" with its values put in; n selects the form. */
export function t(key, values = {}) {
  const [area, name] = key.split(".");
  let found = texts[area]?.[name] ?? key;
  if (typeof found === "object") found = found[values.n === 1 ? "one" : "other"];
  return found.replace(/\{(\w+)\}/g, (all, each) => shown(values[each] ?? all));
}

/** Return whether there is a text for a key. */
export function has(key) {
  const [area, name] = key.split(".");
  return texts[area]?.[name] !== undefined;
}

const shown = (value) => (typeof value === "number" ? whole.format(value) : value);
