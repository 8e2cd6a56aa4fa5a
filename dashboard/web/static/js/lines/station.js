// What people do on the page of one station: picture, maintenance, name, model, forget.

import { byId, say } from "../elements.js";
import { postJson } from "../requests.js";
import { t } from "../texts.js";
import { refresh } from "./refresh.js";

const station = byId("station").dataset.station;
const base = `/api/lines/${station}`;

const ACTIONS = {
  picture: (button) => takePicture(button),
  "end-maintenance": (button) => change(`${base}/maintenance/end`, { camera: button.dataset.camera }, "lines.maintenance_ended"),
  "take-back": () => change(`${base}/desired/take-back`, {}, "lines.taken_back"),
};

const DIALOGS = {
  "maintenance-dialog": (values, camera) => [
    `${base}/maintenance`,
    { camera, minutes: Number(values.get("minutes")), reason: values.get("reason") },
    "lines.maintenance_started",
  ],
  "name-dialog": (values, camera) => [`${base}/name`, { camera, name: values.get("name") }, "lines.renamed"],
  "forget-dialog": (_values, camera) => [`${base}/forget`, { camera }, "lines.forgotten"],
  "desired-dialog": (values) => [
    `${base}/desired`,
    { name: values.get("name"), build: Number(values.get("build")), sha256: values.get("sha256"), url: values.get("url") },
    "lines.order_sent",
  ],
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.action) ACTIONS[button.dataset.action](button);
  if (button?.dataset.dialog) openDialog(button);
  if (button && "close" in button.dataset) button.closest("dialog").close();
});

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.querySelector("form").addEventListener("submit", (event) => send(event, dialog));
}

document.querySelector("select[name=known]")?.addEventListener("change", (event) => {
  const chosen = event.target.selectedOptions[0];
  const form = event.target.form;
  form.elements.name.value = chosen.dataset.name ?? "";
  form.elements.build.value = chosen.dataset.build ?? "";
  form.elements.sha256.value = chosen.value;
});

function openDialog(button) {
  const dialog = byId(button.dataset.dialog);
  dialog.dataset.camera = button.dataset.camera ?? "";
  say(dialog.querySelector(".form-error"), "");
  const of = dialog.querySelector(".dialog-of");
  if (of) say(of, button.dataset.shown);
  const name = dialog.id === "name-dialog" && dialog.querySelector("input[name=name]");
  if (name) name.value = button.dataset.shown;
  dialog.showModal();
}

async function send(event, dialog) {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector(".primary");
  const [url, body, done] = DIALOGS[dialog.id](new FormData(form), dialog.dataset.camera);
  button.disabled = true;
  try {
    const answer = await postJson(url, body);
    dialog.close();
    form.reset();
    if (dialog.id === "forget-dialog" && !body.camera) {
      location.assign("/lines");
      return;
    }
    notify(answer.warning ? "warn" : "ok", answer.warning ? t("lines.done_but", { reason: answer.warning }) : t(done));
    await refresh({ force: true });
  } catch (error) {
    say(form.querySelector(".form-error"), error.message);
  } finally {
    button.disabled = false;
  }
}

async function change(url, body, done) {
  try {
    await postJson(url, body);
    notify("ok", t(done));
    await refresh({ force: true });
  } catch (error) {
    notify("bad", error.message);
  }
}

async function takePicture(button) {
  button.disabled = true;
  say(button, t("lines.taking_picture"));
  const { camera } = button.dataset;
  try {
    await postJson(`${base}/pictures`, { camera });
    await refresh({ force: true });
    document.querySelector(`button[data-action=picture][data-camera="${camera}"]`)?.focus();
  } catch (error) {
    notify("bad", t("lines.picture_failed", { reason: error.message }));
    button.disabled = false;
    say(button, t("lines.take_picture"));
  }
}

function notify(kind, text) {
  const box = byId("done");
  box.dataset.kind = kind;
  box.hidden = false;
  say(box, text);
}
