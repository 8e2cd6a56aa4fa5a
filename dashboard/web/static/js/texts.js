// Texts in the language of the page, from the element with the id "texts".

const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");

/** Return the text of "<area>.<key>" with its values put in; n selects the form. */
export function t(key, values = {}) {
  const [area, name] = key.split(".");
  let found = texts[area]?.[name] ?? key;
  if (typeof found === "object") found = found[values.n === 1 ? "one" : "other"];
  return found.replace(/\{(\w+)\}/g, (all, each) => values[each] ?? all);
}

export const language = document.documentElement.lang || "en";
