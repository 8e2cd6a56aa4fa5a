// The own account: password and sessions.

import { byId, say } from "../elements.js";
import { postJson } from "../requests.js";
import { t } from "../texts.js";
import { notify, reloadWith } from "./notes.js";

byId("password-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const failure = form.querySelector(".form-error");
  const { old, new: wanted, again } = form.elements;
  if (wanted.value !== again.value) {
    say(failure, t("account.passwords_differ"));
    return;
  }
  say(failure, "");
  try {
    await postJson("/api/account/password", { old: old.value, new: wanted.value });
    reloadWith(t("account.password_changed"));
  } catch (error) {
    const seconds = error.content?.wait_s;
    if (seconds) say(failure, t("account.wait", { n: seconds }));
    else say(failure, error.status === 401 ? t("account.old_wrong") : error.message);
  }
});

byId("everywhere")?.addEventListener("click", async () => {
  await postJson("/api/logout", { everywhere: true });
  location.assign("/login");
});

for (const button of document.querySelectorAll("[data-session]")) {
  button.addEventListener("click", async () => {
    try {
      await postJson("/api/account/sessions/end", { id: button.dataset.session });
      reloadWith(t("account.session_ended"));
    } catch (error) {
      notify("bad", error.message);
    }
  });
}
