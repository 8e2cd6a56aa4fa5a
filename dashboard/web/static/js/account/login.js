// The login: sends name and password, and leads on to the page that was wanted.

import { fetchJson, postJson } from "../requests.js";
import { t } from "../texts.js";

const next = document.getElementById("login").dataset.next;
const form = document.getElementById("form");

function show(text) {
  const failure = document.getElementById("failure");
  failure.textContent = text;
  failure.hidden = !text;
}

/** Go on where the person is logged in already: links of other sites carry no cookie. */
async function goOnIfKnown() {
  const session = await fetchJson("/api/session");
  if (session.user) location.replace(next);
}

async function logIn(event) {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  show("");
  try {
    await postJson("/api/login", {
      name: form.elements.name.value,
      password: form.elements.password.value,
    });
    location.replace(next);
  } catch (error) {
    const seconds = Math.ceil(error.content?.wait_s ?? 0);
    show(seconds ? t("account.wait", { n: seconds }) : error.status === 401 ? t("account.wrong") : error.message);
    form.elements.password.value = "";
    form.elements.password.focus();
  } finally {
    button.disabled = false;
  }
}

form?.addEventListener("submit", logIn);
goOnIfKnown().catch(() => {}); // the form is there
