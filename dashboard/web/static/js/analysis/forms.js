// Forms that are sent as JSON; after that the page is loaded again.

import { postJson } from "../requests.js";

/** Send the values of a form; body: makes the JSON of them. */
export function wireForm(form, url, body) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = form.querySelector(".form-error");
    const button = form.querySelector("button.primary");
    button.disabled = true;
    error.textContent = "";
    try {
      await postJson(url, body(Object.fromEntries(new FormData(form))));
      location.reload();
    } catch (failure) {
      error.textContent = failure.message;
      button.disabled = false;
    }
  });
}
