// Users and tokens.

import { byId, say } from "../elements.js";
import { postJson } from "../requests.js";
import { t } from "../texts.js";
import { notify, reloadWith } from "./notes.js";

const DIALOGS = {
  "user-dialog": (form) => ["/api/users", values(form, "name", "role", "password"), "account.user_added"],
  "password-dialog": (form, of) => ["/api/users/password", { name: of.of, ...values(form, "password") }, "account.password_set"],
  "remove-dialog": (_form, of) => ["/api/users/remove", { name: of.of }, "account.user_removed"],
  "drop-dialog": (_form, of) => ["/api/tokens/remove", { id: Number(of.id) }, "account.token_removed"],
  "token-dialog": (form) => [
    "/api/tokens",
    { ...values(form, "name", "kind", "role"), days: Number(form.elements.days.value) || null },
    "account.token_added",
  ],
};

const values = (form, ...names) => Object.fromEntries(names.map((name) => [name, form.elements[name].value]));

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.dialog) open(button);
  if (button && "close" in button.dataset) button.closest("dialog").close();
});

function open(button) {
  const dialog = byId(button.dataset.dialog);
  dialog.querySelector("form").reset();
  dialog.dataset.of = button.dataset.of ?? "";
  dialog.dataset.id = button.dataset.id ?? "";
  say(dialog.querySelector(".form-error"), "");
  const of = dialog.querySelector(".dialog-of");
  if (of) say(of, button.dataset.of);
  showRole();
  dialog.showModal();
}

for (const form of document.querySelectorAll("dialog form")) {
  form.addEventListener("submit", (event) => send(event, form, form.closest("dialog")));
}

async function send(event, form, dialog) {
  event.preventDefault();
  const [url, body, done] = DIALOGS[dialog.id](form, dialog.dataset);
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  try {
    const answer = await postJson(url, body);
    dialog.close();
    if (answer.token) showSecret(body.kind, answer.token);
    else reloadWith(t(done));
  } catch (error) {
    say(form.querySelector(".form-error"), error.message);
  } finally {
    button.disabled = false;
  }
}

/** A token is shown once: as the address that a screen opens, or as it is. */
function showSecret(kind, token) {
  const isKiosk = kind === "kiosk";
  say(byId("secret-label"), t(isKiosk ? "account.secret_address" : "account.secret_token"));
  byId("secret").value = isKiosk ? `${location.origin}/wall?kiosk=${encodeURIComponent(token)}` : token;
  byId("secret-dialog").showModal();
  byId("secret").select();
}

byId("secret-done").addEventListener("click", () => reloadWith(t("account.token_added")));
byId("secret-dialog").addEventListener("cancel", (event) => event.preventDefault());

const kind = byId("token-dialog").querySelector("select[name=kind]");
const showRole = () => (byId("token-role").hidden = kind.value !== "api");
kind.addEventListener("change", showRole);

for (const select of document.querySelectorAll("select[data-role]")) {
  select.addEventListener("change", async () => {
    const { user } = select.closest("tr").dataset;
    try {
      await postJson("/api/users/role", { name: user, role: select.value });
      notify("ok", t("account.role_set", { name: user }));
    } catch (error) {
      notify("bad", error.message);
      select.value = [...select.options].find((each) => each.defaultSelected).value;
    }
  });
}
