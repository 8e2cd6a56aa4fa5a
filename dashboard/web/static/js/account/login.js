// The login: sends name and password, and leads on to the page that was wanted.

import { say } from "../elements.js";
import { fetchJson, postJson } from "../requests.js";
import { t } from "../texts.js";

const next = document.getElementById("login").dataset.next;
const form = document.getElementById("form");

/** Go on where the person is logged in already: links of other sites carry no cookie. */
async function goOnIfKnown() {
  const session = await fetchJson("/api/session");
  if (session.user) location.replace(next);
}

async function logIn(event) {
  event.preventDefault();
  const button = form.querySelector("button");
  const failure = document.getElementById("failure");
  const { name, password } = form.elements;
  button.disabled = true;
  say(failure, "");
  try {
    await postJson("/api/login", { name: name.value, password: password.value });
    location.replace(next);
  } catch (error) {
    say(failure, reasonOf(error));
    password.value = "";
    password.focus();
  } finally {
    button.disabled = false;
  }
}

function reasonOf(error) {
  const seconds = error.content?.wait_s;
  if (seconds) return t("account.wait", { n: seconds });
  return error.status === 401 ? t("account.wrong") : error.message;
}

form?.addEventListener("submit", logIn);
goOnIfKnown().catch(() => {}); // the form is there
