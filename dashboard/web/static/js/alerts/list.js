// The list of alerts: filters, live alerts, older pages, groups, selection and keys.
//
// The list has no holes. It begins at the newest alert and is complete down to the place
// `resume`, from which older pages go on. What arrives is fetched by the cursor `newest`,
// so that nothing is missed however the stream of events behaves; what arrives below
// `resume` comes with its page.

import { byId, say } from "../elements.js";
import { follow, on } from "../live.js";
import { fetchJson } from "../requests.js";
import { t } from "../texts.js";
import { isForPage, REVIEW_KEYS, sendReview, toast, wireKeys, wireShelves } from "./dialogs.js";
import { wireFilters } from "./filters.js";
import { fillRow, isBefore, makeRow } from "./rows.js";

const ARRIVED_AFTER_MS = 60; // alerts that come together are fetched together
const ASK_EVERY_MS = 15_000; // also without an event
const AT_TOP_PX = 160; // further down somebody reads: rows must not move
const ROWS_MAX = 600;
const ROWS_KEPT = 300;
const HELD_MAX = 500; // more new alerts than this: the page is loaded again
const IDS_PER_REQUEST = 100;
const SEARCHES_MAX = 200; // of one click, while nothing is found

const list = byId("alerts");
const query = list.dataset.query;
const isGrouped = list.dataset.grouped === "yes";
const isFirst = list.dataset.first === "yes";
const mayReview = list.dataset.mayReview === "yes";

const rows = new Map(); // n → {element, key, id}
const newerOf = new Map(); // n → n of the newer alert of the same group
const expanded = new Set(); // n of the first alerts of open groups
const held = []; // new alerts that are not shown yet
let newest = list.dataset.newest;
let resume = list.dataset.resume || null; // null: the list is complete
let arrivedTimer = null;
let askedAt = performance.now();
let isAsking = false;
let isLoading = false;

function start() {
  for (const element of list.children) {
    const { n, key, id, link } = element.dataset;
    rows.set(n, { element, key, id });
    if (link) newerOf.set(n, link);
  }
  layOut();
  wireFilters(byId("filters"), query);
  wireKeys();
  wireShelves({ place: placeOfFilters, mayReview });
  wireOlder();
  wireSelection();
  document.addEventListener("keydown", takeKey);
  list.addEventListener("click", takeClick);
  byId("new-bar").addEventListener("click", showHeld);
  addEventListener("scroll", () => { if (held.length && scrollY < AT_TOP_PX) showHeld(); });
  if (isFirst) {
    on("alert", takeAlert);
    on("reset", askSoon);
    on("state", () => { if (performance.now() - askedAt > ASK_EVERY_MS) askSoon(); });
    follow({ after: newest });
  }
  on("review", ({ ids }) => refresh(ids));
  if (!rows.size && resume) loadOlder();
}

// --- what arrives -------------------------------------------------------------------

/** An event is only the sign that there is something: the server filters it. */
function takeAlert(alert) {
  if (rows.has(String(alert.n))) refresh([alert.id]); // its picture has arrived
  else askSoon();
}

function askSoon() {
  arrivedTimer ??= setTimeout(fetchArrived, ARRIVED_AFTER_MS);
}

async function fetchArrived() {
  arrivedTimer = null;
  if (isAsking) return void askSoon();
  isAsking = true;
  askedAt = performance.now();
  try {
    const found = await fetchJson(`/api/alert-list?${query}&arrived=${newest}`);
    if (Number(found.newest) < Number(newest)) return void location.reload(); // another history
    newest = String(found.newest);
    addLinks(found.links);
    take(found.alerts);
    if (found.is_more) askSoon();
  } catch (error) {
    console.warn("not fetched", error); // the banner shows that the server is away
  }
  isAsking = false;
}

function take(alerts) {
  const wanted = alerts.filter((alert) => !rows.has(String(alert.n)) && isAbove(alert));
  if (!wanted.length) return;
  if (scrollY < AT_TOP_PX && !held.length) {
    show(wanted, { areNew: true });
    forgetOldest();
    return;
  }
  held.push(...wanted);
  say(byId("new-bar"), t("alerts.new", { n: held.length }));
  byId("new-bar").hidden = false;
}

/** Whether an alert is above the last page; one that is below it comes with its page. */
const isAbove = (alert) => !resume || isBefore(alert.key, resume);

function showHeld() {
  if (held.length > HELD_MAX) return void location.reload();
  byId("new-bar").hidden = true;
  show(held.splice(0).filter(isAbove), { areNew: true });
  scrollTo({ top: 0 });
  forgetOldest();
}

function show(alerts, { areNew = false } = {}) {
  for (const alert of alerts) {
    const element = makeRow(alert);
    if (areNew) element.classList.add("new");
    rows.set(String(alert.n), { element, key: alert.key, id: alert.id });
  }
  layOut();
  if (areNew) say(byId("spoken"), t("alerts.new", { n: alerts.length }));
}

/** Remove the oldest rows of a long list; the next older page brings them again. */
function forgetOldest() {
  if (rows.size <= ROWS_MAX) return;
  const inOrder = [...rows.entries()].sort(([, a], [, b]) => (isBefore(a.key, b.key) ? -1 : 1));
  for (const [n, { element }] of inOrder.slice(ROWS_KEPT)) {
    element.remove();
    rows.delete(n);
  }
  resume = inOrder[ROWS_KEPT - 1][1].key;
  showOlder();
  layOut();
}

/** Fetch rows again: somebody has reviewed them, or a picture has arrived. */
async function refresh(ids) {
  const shown = new Set([...rows.values()].map((row) => row.id));
  const wanted = ids.filter((id) => shown.has(id));
  for (let at = 0; at < wanted.length; at += IDS_PER_REQUEST) {
    const part = wanted.slice(at, at + IDS_PER_REQUEST).map((id) => `&id=${encodeURIComponent(id)}`);
    update((await fetchJson(`/api/alert-list?${query}${part.join("")}`)).alerts);
  }
}

function update(alerts) {
  for (const alert of alerts) {
    const row = rows.get(String(alert.n));
    if (row) fillRow(row.element, alert);
  }
}

// --- older pages ----------------------------------------------------------------------

function wireOlder() {
  byId("older").addEventListener("click", (event) => {
    event.preventDefault();
    loadOlder();
  });
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && rows.size) loadOlder();
  }, { rootMargin: "500px" }).observe(byId("older"));
}

async function loadOlder() {
  if (isLoading || !resume) return;
  isLoading = true;
  try {
    let isDone = false;
    for (let count = 0; resume && !isDone && count < SEARCHES_MAX; count += 1) {
      const from = resume;
      const found = await fetchJson(`/api/alert-list?${query}&before=${from}`);
      // Rows were removed meanwhile: this page does not go on where the list ends now.
      if (resume !== from) continue;
      resume = found.resume;
      addLinks(found.links);
      const before = rows.size;
      show(found.alerts.filter((alert) => !rows.has(String(alert.n))));
      isDone = rows.size !== before;
      const isEmpty = resume && !isDone;
      say(byId("searched"), isEmpty ? t("alerts.searched_to", { time: found.searched_to }) : "");
    }
  } catch (error) {
    toast(t("alerts.failed", { reason: error.message }), "bad");
  }
  isLoading = false;
  showOlder();
}

function showOlder() {
  byId("older").hidden = !resume;
  byId("older").href = `/alerts?${query}&before=${resume ?? ""}`;
  byId("no-alerts").hidden = rows.size > 0 || Boolean(resume);
}

// --- groups ------------------------------------------------------------------------------

function addLinks(links) {
  for (const [newer, older] of links) newerOf.set(String(older), String(newer));
}

/** Return the newest alert of a group. */
function headOf(n) {
  let head = n;
  while (rows.has(newerOf.get(head))) head = newerOf.get(head);
  return head;
}

/** Put all rows in order: groups by their newest alert, members below it. */
function layOut() {
  const groups = new Map();
  for (const n of rows.keys()) {
    const head = isGrouped ? headOf(n) : n;
    if (!groups.has(head)) groups.set(head, []);
    groups.get(head).push(n);
  }
  const byPlace = (a, b) => (isBefore(rows.get(a).key, rows.get(b).key) ? -1 : 1);
  let place = 0;
  for (const head of [...groups.keys()].sort(byPlace)) {
    const members = groups.get(head).sort(byPlace);
    const isOpen = members.some((n) => expanded.has(n));
    members.forEach((n, at) => {
      const { element } = rows.get(n);
      showInGroup(element, at === 0 ? members.length : 0, isOpen);
      // A row that is moved would lose the focus.
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
      place += 1;
    });
  }
  byId("no-alerts").hidden = rows.size > 0 || Boolean(resume);
}

function showInGroup(element, members, isOpen) {
  element.toggleAttribute("data-member", members === 0);
  element.hidden = members === 0 && !isOpen;
  const button = element.querySelector('[data-slot="group"]');
  button.hidden = members < 2;
  button.setAttribute("aria-expanded", String(isOpen));
  say(button, t("alerts.group", { n: members }));
}

function membersOf(n) {
  const head = isGrouped ? headOf(n) : n;
  return [...rows.keys()].filter((each) => (isGrouped ? headOf(each) : each) === head);
}

function takeClick(event) {
  const row = event.target.closest(".alert-row");
  if (event.target.closest('[data-slot="group"]')) {
    const members = membersOf(row.dataset.n);
    const isOpen = members.some((n) => expanded.has(n));
    for (const n of members) expanded.delete(n);
    if (!isOpen) expanded.add(members[0]);
    layOut();
  }
}

// --- selection and reviews --------------------------------------------------------------------

const boxOf = (element) => element.querySelector('[data-slot="pick"]');

function selectedIds() {
  return [...rows.values()].filter((row) => boxOf(row.element)?.checked).map((row) => row.id);
}

function wireSelection() {
  list.addEventListener("change", (event) => {
    const row = event.target.closest(".alert-row");
    const isHead = row && !row.hasAttribute("data-member");
    // A closed group is selected as a whole: its other rows cannot be seen.
    const isClosed = row?.querySelector('[data-slot="group"]').getAttribute("aria-expanded") === "false";
    if (isHead && isClosed) {
      for (const n of membersOf(row.dataset.n)) boxOf(rows.get(n).element).checked = event.target.checked;
    }
    showSelection();
  });
  for (const button of byId("selection").querySelectorAll("[data-review]")) {
    button.addEventListener("click", () => review(button.dataset.review));
  }
  byId("clear-selection").addEventListener("click", clearSelection);
  byId("select-all")?.addEventListener("click", reviewWholeFilter);
}

function showSelection() {
  const n = selectedIds().length;
  byId("selection").hidden = n === 0;
  say(byId("selected"), t("alerts.selected", { n }));
}

function clearSelection() {
  for (const { element } of rows.values()) if (boxOf(element)) boxOf(element).checked = false;
  showSelection();
}

/** Review what is selected, else the row with the focus (a closed group as a whole). */
async function review(name) {
  const focused = document.activeElement?.closest(".alert-row");
  let ids = selectedIds();
  const hasSelection = ids.length > 0;
  if (!hasSelection && focused) {
    const isClosed = focused.querySelector('[data-slot="group"]').getAttribute("aria-expanded") === "false";
    const members = isClosed && !focused.hasAttribute("data-member") ? membersOf(focused.dataset.n) : [focused.dataset.n];
    ids = members.map((n) => rows.get(n).id);
  }
  if (!ids.length) return;
  const answer = await sendReview(name, { ids });
  if (!answer) return;
  update(answer.alerts);
  if (hasSelection) clearSelection();
}

async function reviewWholeFilter() {
  const dialog = byId("bulk-dialog");
  const choices = byId("bulk-choices");
  choices.hidden = true;
  say(byId("bulk-count"), t("alerts.bulk_counting"));
  dialog.showModal();
  let count;
  try {
    count = await fetchJson(`/api/alert-count?${query}`);
  } catch (error) {
    return say(byId("bulk-count"), t("alerts.failed", { reason: error.message }));
  }
  say(byId("bulk-count"), t(count.is_more ? "alerts.bulk_more" : "alerts.bulk_count", { n: count.count }));
  choices.hidden = count.is_more || count.count === 0;
  const selection = { filter: { query, newest: count.newest, now_ms: count.now_ms, count: count.count } };
  choices.onclick = async (event) => {
    const button = event.target.closest("[data-review]");
    if (!button) return;
    dialog.close();
    const answer = await sendReview(button.dataset.review, selection);
    if (answer) await refresh([...rows.values()].map((row) => row.id));
  };
}

// --- keys ---------------------------------------------------------------------------------------

function takeKey(event) {
  if (!isForPage(event)) return;
  const row = document.activeElement?.closest(".alert-row");
  const steps = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };
  if (event.key in steps && (row || event.key.length === 1)) {
    event.preventDefault();
    move(row, steps[event.key]);
  } else if (event.key === "x" && row && boxOf(row)) {
    boxOf(row).checked = !boxOf(row).checked;
    boxOf(row).dispatchEvent(new Event("change", { bubbles: true }));
  } else if (event.key === "Escape") {
    clearSelection();
  } else if (mayReview && event.key in REVIEW_KEYS) {
    event.preventDefault();
    review(REVIEW_KEYS[event.key]);
  }
}

/** Move the focus to the next row that can be seen. */
function move(row, step) {
  const seen = [...list.children].filter((each) => !each.hidden);
  const at = row ? seen.indexOf(row) + step : 0;
  const next = seen[Math.max(0, Math.min(at, seen.length - 1))];
  next?.querySelector('[data-slot="title"]').focus();
  next?.scrollIntoView({ block: "nearest" });
}

function placeOfFilters() {
  const given = new URLSearchParams(query);
  const place = Object.fromEntries(["site", "line", "station", "camera"].map((name) => [name, given.get(name)]));
  return { ...place, label: given.get("class") };
}

start();
