// Alerts per minute over time (uPlot), and defects by class (plain bars).

import { byId, colour, make, say } from "../elements.js";
import { fetchJson } from "../requests.js";
import { t } from "../texts.js";
import { atMostTwoDigits, count, hourOfDay, oneDigit, percent } from "../words.js";

const SHOWN_MAX = 4; // the page /analysis has all classes
const VITAL_FEW = 0.8; // Pareto: the few classes that make 80 % of the defects

let minutes = 60;
let places = new URLSearchParams();
let rateData = null;
let plot = null;

/** Connect the buttons; draw again when size or colours change. chosen: a query of places. */
export function wireCharts(chosen) {
  places = chosen;
  const buttons = [...document.querySelectorAll("[data-minutes]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      minutes = Number(button.dataset.minutes);
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
      loadCharts();
    });
  }
  new ResizeObserver(() => drawRate()).observe(byId("rate"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    plot?.destroy();
    plot = null;
    drawRate();
  });
}

/** Fetch what the charts show. */
export async function loadCharts() {
  try {
    const [rate, pareto] = await Promise.all([
      fetchJson(`/api/rate?minutes=${minutes}&${places}`),
      fetchJson(`/api/pareto?minutes=${minutes}&${places}`),
    ]);
    rateData = rate;
    drawRate();
    showPareto(pareto);
  } catch (error) {
    console.warn("charts not loaded", error);
  }
}

function drawRate() {
  const box = byId("rate");
  if (!rateData || !box.clientWidth) return;
  const data = [rateData.start_s, rateData.per_minute];
  const size = { width: box.clientWidth, height: Math.max(box.clientHeight, 120) };
  if (plot) {
    if (plot.width !== size.width || plot.height !== size.height) plot.setSize(size);
    plot.setData(data);
  } else {
    plot = new uPlot(rateOptions(size), data, box);
  }
  const peak = Math.max(0, ...rateData.per_minute);
  const values = { hours: minutes / 60, last: oneDigit(rateData.per_minute.at(-1) ?? 0), most: oneDigit(peak) };
  box.setAttribute("aria-label", t("wall.rate_summary", values));
}

function rateOptions(size) {
  const style = getComputedStyle(document.documentElement);
  const rem = parseFloat(style.fontSize);
  const font = `${0.78 * rem}px ${style.fontFamily}`;
  const axis = {
    stroke: colour("--muted"),
    font,
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
  };
  const clock = (s) => hourOfDay(s * 1000);
  return {
    ...size,
    padding: [10, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 8, fill: colour("--accent") } },
    scales: {
      x: { range: (_, low, high) => [low, high + rateData.step_s] }, // the last bar too
      y: { range: (_, __, high) => [0, Math.max(1, high * 1.15)] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 1.8 * rem, space: 4.4 * rem, values: (_, ticks) => ticks.map(clock) },
      { ...axis, size: (_, texts) => widthOf(texts) * rem, space: 2.2 * rem, values: (_, ticks) => ticks.map(atMostTwoDigits) },
    ],
    series: [
      {},
      {
        stroke: colour("--accent"),
        fill: colour("--accent"),
        width: 0,
        paths: uPlot.paths.bars({ size: [0.72, 28], align: 1, radius: 0.25 }),
        points: { show: false },
      },
    ],
    hooks: {
      setCursor: [
        ({ cursor: { idx }, data }) => {
          const isInside = idx !== null && idx !== undefined && data[1][idx] !== undefined;
          say(byId("rate-hover"), isInside ? `${clock(data[0][idx])}: ${oneDigit(data[1][idx])}` : "");
        },
      ],
    },
  };
}

/** Width of the texts beside an axis in rem, so that the longest is whole. */
function widthOf(texts) {
  const longest = Math.max(0, ...(texts ?? []).map((each) => each?.length ?? 0));
  return Math.max(2.6, 1.2 + 0.5 * longest);
}

function showPareto({ classes, other, total }) {
  const list = byId("pareto");
  const most = classes.length ? classes[0].count : 1;
  let before = 0;
  const [shown, rest] = classes.length > SHOWN_MAX + 1 ? [classes.slice(0, SHOWN_MAX), classes.slice(SHOWN_MAX)] : [classes, []];
  const others = rest.reduce((sum, each) => sum + each.count, other);
  const rows = shown.map(({ label, count: found, share }) => {
    const isVital = before < VITAL_FEW;
    before = share;
    return bar(label, found, found / most, isVital, percent(share));
  });
  if (others) rows.push(bar(t("wall.pareto_other"), others, others / most, false, percent(1)));
  list.replaceChildren(...rows);
  say(byId("pareto-total"), total ? t("wall.pareto_total", { n: total }) : "");
  byId("no-pareto").hidden = total > 0;
}

function bar(label, found, length, isVital, cumulated) {
  const fill = make("i", { class: isVital ? "bar vital" : "bar" });
  fill.style.width = `${Math.min(100, Math.max(1.5, length * 100))}%`;
  return make(
    "li",
    {},
    make("span", { class: "bar-label", title: label }, label),
    make("span", { class: "bar-track" }, fill),
    make("b", {}, count(found)),
    make("span", { class: "bar-share" }, cumulated),
  );
}
