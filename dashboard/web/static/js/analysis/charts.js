// The two control charts with uPlot, in place of the pictures that the server drew.
// Dragging zooms both; a double click, or the button, shows all again.

import { byId, colour, say } from "../elements.js";
import { locale, t } from "../texts.js";

const TRIANGLE_PX = 6;

let plots = [];
let zoomed = null; // the range of time that is shown; null = all

/** Draw both charts, and again when the size or the colours change. */
export function drawCharts(data) {
  const boxes = [...document.querySelectorAll("[data-chart]")];
  if (!boxes.length) return;
  let width = 0;
  const draw = () => {
    width = boxes[0].clientWidth;
    for (const plot of plots) plot.destroy();
    plots = boxes.map((box) => makePlot(box, data));
    show(zoomed, data);
  };
  draw();
  new ResizeObserver(() => boxes[0].clientWidth !== width && draw()).observe(boxes[0]);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  byId("zoom-out").addEventListener("click", () => show(null, data));
}

function show(range, data) {
  zoomed = range;
  const [min, max] = range ?? [data.start_s, data.end_s];
  for (const plot of plots) plot.setScale("x", { min, max });
  byId("zoom-out").hidden = range === null;
}

function makePlot(box, data) {
  box.replaceChildren();
  box.dataset.drawn = "";
  const name = box.dataset.chart;
  const { value, low, high, center } = data[name];
  const columns = [data.x, value, low, high, data.x.map(() => center)];
  const size = { width: box.clientWidth, height: box.clientHeight };
  return new uPlot(options(size, data, name), columns, box);
}

function options(size, data, name) {
  const style = getComputedStyle(document.documentElement);
  const rem = parseFloat(style.fontSize);
  const axis = {
    stroke: colour("--muted"),
    font: `${0.8 * rem}px ${style.fontFamily}`,
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
  };
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 3 });
  const shown = dots(data[name].value);
  const limit = { stroke: colour("--warn"), width: 1.4, dash: [5, 4], points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) };
  return {
    ...size,
    padding: [10, 1.8 * rem, 0, 0], // half of the last time
    legend: { show: false },
    tzDate: (s) => uPlot.tzDate(new Date(s * 1000), data.zone),
    cursor: { y: false, sync: { key: "rates" }, drag: { x: true, y: false, setScale: false } },
    scales: {
      x: { range: (_, low, high) => [low ?? data.start_s, high ?? data.end_s] },
      y: { range: (_, __, high) => [0, Math.max(0.01, (high ?? 0) * 1.12)] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 2 * rem, space: 5 * rem, values: (_, ticks) => timeTexts(ticks, data.zone) },
      { ...axis, size: 4 * rem, space: 2.4 * rem, values: (_, ticks) => ticks.map((each) => `${number.format(each)} %`) },
    ],
    series: [
      {},
      { stroke: colour("--accent"), width: 2, points: { show: true, size: 5, fill: colour("--accent"), filter: () => shown } },
      limit,
      limit,
      { stroke: colour("--muted"), width: 1.2, points: { show: false } },
    ],
    hooks: {
      draw: [(plot) => drawMarks(plot, data, name)],
      setSelect: [(plot) => select(plot, data)],
      setCursor: [(plot) => hover(plot, data, number)],
      ready: [(plot) => plot.over.addEventListener("dblclick", () => show(null, data))],
    },
  };
}

/** The points to draw: all where there are few, else those without a line to them. */
function dots(value) {
  const isLone = (index) => (value[index - 1] ?? null) === null && (value[index + 1] ?? null) === null;
  const indices = [...value.keys()].filter((index) => value[index] !== null);
  return indices.length <= 60 ? indices : indices.filter(isLone);
}

/** The time of day, and the date at midnight. */
function timeTexts(ticks, zone) {
  const clock = new Intl.DateTimeFormat(locale, { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(locale, { timeZone: zone, day: "numeric", month: "short" });
  return ticks.map((s) => {
    const time = clock.format(s * 1000);
    return time === "00:00" ? day.format(s * 1000) : time;
  });
}

function select(plot, data) {
  const { left, width } = plot.select;
  if (width < 8) return;
  const min = plot.posToVal(left, "x");
  const max = plot.posToVal(left + width, "x");
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  show([min, max], data);
}

function hover(plot, data, number) {
  const { idx } = plot.cursor;
  const index = idx ?? -1;
  const rate = data.laney.value[index];
  if (rate === null || rate === undefined) return say(byId("hover"), "");
  const at = new Intl.DateTimeFormat(locale, { timeZone: data.zone, dateStyle: "short", timeStyle: "short" });
  const rules = (data.broken[index] ?? []).map((rule) => t(`analysis.rule_${rule}`));
  const smooth = data.ewma.value[index];
  say(
    byId("hover"),
    [
      `${at.format(data.x[index] * 1000)}: ${number.format(rate)} %`,
      `EWMA ${number.format(smooth)} %`,
      `n = ${new Intl.NumberFormat(locale).format(data.n[index])}`,
      ...rules,
    ].join(" · "),
  );
}

/** Draw model changes as dotted lines, and points that break a rule as triangles. */
function drawMarks(plot, data, name) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = colour("--text");
  ctx.lineWidth = 1.4 * ratio;
  ctx.setLineDash([2 * ratio, 3 * ratio]);
  for (const { s } of data.marks) {
    const x = plot.valToPos(s, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.setLineDash([]);
  ctx.fillStyle = colour("--bad");
  const size = TRIANGLE_PX * ratio;
  for (const index of name === "laney" ? Object.keys(data.broken) : []) {
    const x = plot.valToPos(data.x[index], "x", true);
    const y = plot.valToPos(data.laney.value[index], "y", true);
    ctx.beginPath();
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y + 0.75 * size);
    ctx.lineTo(x - size, y + 0.75 * size);
    ctx.fill();
  }
  ctx.restore();
}
