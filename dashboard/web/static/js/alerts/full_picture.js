// The full picture of an alert: fetched from the line PC when somebody asks for it.

import { byId, make, say } from "../elements.js";
import { fetchJson, postJson } from "../requests.js";
import { t } from "../texts.js";
import { percent } from "../words.js";
import { toast } from "./dialogs.js";

const ASK_MS = 400;
const UNANSWERED_MAX = 20; // requests to the server in a row

/** Connect the button; isHere: the server has the picture already. */
export function wireFullPicture(id, isHere) {
  const url = `/api/alerts/${encodeURIComponent(id)}/full-picture`;
  if (isHere) show(url);
  byId("full-picture")?.addEventListener("click", () => fetchPicture(url));
}

async function fetchPicture(url) {
  const button = byId("full-picture");
  if (button.disabled || button.hidden) return;
  button.disabled = true;
  if (await fetchFromLinePc(url, showProgress)) {
    show(url);
    button.hidden = true;
  }
  byId("picture-progress").hidden = true;
  button.disabled = false;
}

/** Have the server fetch a picture from the line PC; false: a message says why not. */
export async function fetchFromLinePc(url, onProgress) {
  try {
    let fetched = await postJson(url, {});
    let unanswered = 0;
    while (fetched.state === "running") {
      onProgress(fetched);
      await new Promise((resolve) => { setTimeout(resolve, ASK_MS); });
      try {
        fetched = await fetchJson(`${url}/state`);
        unanswered = 0;
      } catch (error) {
        unanswered += 1;
        if (unanswered > UNANSWERED_MAX) throw error;
      }
    }
    if (fetched.state !== "done") throw new Error(fetched.reason || fetched.state);
    return true;
  } catch (error) {
    say(byId("picture-kind"), t("alerts.failed", { reason: error.message }));
    toast(t("alerts.failed", { reason: error.message }), "bad");
    return false;
  }
}

function showProgress({ got_bytes: got, size_bytes: size }) {
  const bar = byId("picture-progress");
  bar.hidden = false;
  if (size) bar.value = (100 * got) / size;
  say(byId("picture-kind"), size ? t("alerts.fetching_part", { percent: percent(got / size) }) : t("alerts.fetching"));
}

/** Show the full picture in the place of the small one, when it is loaded. */
function show(url) {
  const picture = document.querySelector("#canvas .picture");
  const image = make("img", { src: url, alt: "", decoding: "async" });
  image.addEventListener("load", () => {
    picture.querySelector("img, .no-picture")?.replaceWith(image);
    byId("viewer").dataset.picture = "full";
    say(byId("picture-kind"), `${t("alerts.full_picture")} · ${image.naturalWidth} × ${image.naturalHeight} px`);
  });
}
