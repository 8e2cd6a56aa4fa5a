// The menu of who is logged in.

import { postJson } from "../requests.js";

const menu = document.getElementById("account-menu");

document.getElementById("log-out")?.addEventListener("click", async () => {
  try {
    await postJson("/api/logout", { everywhere: false });
  } finally {
    location.assign("/login");
  }
});

document.addEventListener("click", (event) => {
  if (!menu.contains(event.target)) menu.open = false;
});
menu.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
