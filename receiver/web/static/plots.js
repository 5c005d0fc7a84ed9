// An hour to a month of the station in plots: who was heard where, how loud, how the station was.

import { read } from "./api.js";
import { element, failure, say } from "./dom.js";
import { bytes, count, dateTime, isoOf, quantity } from "./format.js";
import { Plot, library } from "./plot.js";
import * as station from "./station.js";

const PERIODS = [
  ["hour", "Hour"],
  ["day", "Day"],
  ["week", "Week"],
  ["month", "Month"],
];
/** Plots of an hour change each minute; the others are asked for anew this often too, if seen. */
const AGAIN_MS = 60000;

const choice = element("div", { class: "choice", role: "group", "aria-label": "Period" });
const said = element("p", { class: "muted", role: "status" });
const place = element("div", { class: "plots" });
const older = element("button", { type: "button" }, "Earlier");
const newer = element("button", { type: "button" }, "Later");
let plots = [];
let period = "day";
/** Where the period ends, ms; null is now. */
let end = null;
let asked = 0;
let timer = 0;

export function start(view) {
  for (const [name, words] of PERIODS) {
    const button = element(
      "button",
      { type: "button", "aria-pressed": String(name === period) },
      words,
    );
    button.addEventListener("click", () => {
      period = name;
      end = null;
      for (const other of choice.children)
        other.setAttribute("aria-pressed", String(other === button));
      load();
    });
    choice.append(button);
  }
  view.append(
    element("h2", { id: "plots-title" }, "Plots"),
    element("div", { class: "bar" }, choice, element("div", { class: "choice" }, older, newer)),
    said,
    place,
  );
  let told = null;
  older.addEventListener("click", () => move(-1, told));
  newer.addEventListener("click", () => move(1, told));
  station.on("history", (history) => {
    told = history;
  });
  window
    .matchMedia("(prefers-color-scheme: dark)")
    .addEventListener("change", () => plots.forEach((plot) => plot.draw()));
}

export const enter = () => load();

export function leave() {
  window.clearTimeout(timer);
  asked += 1;
}

function move(steps, history) {
  if (history === null) return;
  const first = Date.parse(history.start);
  const last = Date.parse(history.end);
  end = last + steps * (last - first);
  if (end >= station.nowMs()) end = null;
  load();
}

async function load() {
  window.clearTimeout(timer);
  asked += 1;
  const mine = asked;
  newer.disabled = end === null;
  say(said, plots.length ? said.textContent : "The station looks through its store …");
  const query = new URLSearchParams({ period, ...(end === null ? {} : { end: isoOf(end) }) });
  try {
    const [history] = await Promise.all([read(`/api/history?${query}`, 120000), library()]);
    if (mine !== asked) return;
    station.tell("history", history);
    say(
      said,
      `${dateTime(history.start)} to ${dateTime(history.end)} UTC, ${stepOf(history.step_s)} each`,
    );
    drawAll(withoutFuture(history));
  } catch (error) {
    if (mine === asked) said.replaceChildren(failure(error));
  }
  if (mine === asked && end === null) {
    timer = window.setTimeout(() => (document.hidden ? null : load()), AGAIN_MS);
  }
}

/** Steps that have not begun are not zero; nor is the one that goes on, while it has nothing. */
function withoutFuture(history) {
  const now = station.nowMs() / 1000;
  const isOver = history.times.map((time) => time + history.step_s <= now);
  const known = (values) => values.map((value, at) => (isOver[at] || value ? value : null));
  const all = (group) =>
    Object.fromEntries(Object.entries(group ?? {}).map(([name, values]) => [name, known(values)]));
  return {
    ...history,
    detections: all(history.detections),
    tags: (history.tags ?? []).map((tag) => ({ ...tag, counts: known(tag.counts) })),
    other_tags: known(history.other_tags ?? []),
    listening: all(history.listening),
  };
}

const stepOf = (seconds) => (seconds < 3600 ? `${seconds / 60} min` : `${seconds / 3600} h`);

function drawAll(history) {
  const wanted = specifications(history).filter(({ series }) =>
    series.some(({ values }) => values.some((value) => value !== null)),
  );
  const known = new Map(plots.map((plot) => [plot.title, plot]));
  plots = wanted.map((specification) => {
    const plot = known.get(specification.title) ?? new Plot(specification.title);
    plot.show(history.times, specification);
    return plot;
  });
  const nodes = plots.map((plot) => plot.node);
  if (
    nodes.length !== place.childElementCount ||
    nodes.some((node, at) => node !== place.children[at])
  ) {
    place.replaceChildren(...nodes);
  }
  for (const plot of plots) plot.draw();
  if (!nodes.length)
    place.replaceChildren(element("p", { class: "empty" }, "Nothing was kept in this period."));
}

const named = (group) => Object.entries(group ?? {}).map(([label, values]) => ({ label, values }));
const dbm = (value) => quantity(value, "dBm");

/** What is drawn, in order; a plot without any value is left out. */
function specifications(history) {
  const tags = (history.tags ?? []).map(({ tag_id: id, tag_name: name, counts }) => ({
    label: name ? `${name} (${id})` : id,
    values: counts,
  }));
  const others = history.other_tags?.some(Boolean)
    ? [{ label: "other tags", values: history.other_tags }]
    : [];
  const levels = Object.entries(history.levels ?? {}).flatMap(([label, each]) => [
    { label: `${label}, median`, values: each.median_rssi_dbm },
    { label: `${label}, best`, values: each.max_rssi_dbm, isDashed: true },
  ]);
  const listening = named(history.listening).map(({ label, values }) => ({
    label,
    values: values.map((part) => (part === null ? null : part * 100)),
  }));
  return [
    {
      title: "Detections by antenna",
      unit: "detections",
      isTotalled: true,
      tell: count,
      isCount: true,
      series: named(history.detections),
    },
    {
      title: "Detections by tag",
      unit: "detections",
      isTotalled: true,
      tell: count,
      isCount: true,
      series: [...tags, ...others],
    },
    { title: "Levels", unit: "dBm", tell: dbm, series: levels },
    { title: "Noise", unit: "dBm", tell: dbm, series: named(history.noise_dbm) },
    {
      title: "Noise of software radios, relative to full scale",
      unit: "dB relative to full scale",
      tell: (value) => quantity(value, "dBFS", 1),
      series: named(history.noise_dbfs),
    },
    {
      title: "Gain of software radios",
      unit: "dB",
      tell: (value) => quantity(value, "dB", 1),
      series: named(history.gain_db),
    },
    {
      title: "Listening",
      unit: "% of the time",
      tell: (value) => quantity(value, "%"),
      range: [0, 105],
      series: listening,
    },
    {
      title: "Clock: offset",
      unit: "ms",
      tell: (value) => quantity(value, "ms", 1),
      series: [{ label: "offset", values: history.clock?.offset_ms ?? [] }],
    },
    {
      title: "Clock: good",
      unit: "",
      tell: (value) => (value === null ? "–" : value ? "good" : "not good"),
      range: [-0.1, 1.1],
      ticks: [0, 1],
      series: [{ label: "clock", values: history.clock?.good ?? [] }],
    },
    {
      title: "Supply",
      unit: "V",
      tell: (value) => quantity(value, "V", 2),
      series: [{ label: "station", values: history.voltage_v ?? [] }, ...named(history.battery_v)],
    },
    {
      title: "Temperature",
      unit: "°C",
      tell: (value) => quantity(value, "°C", 1),
      series: [{ label: "station", values: history.temperature_c ?? [] }],
    },
    {
      title: "Waiting to leave the station",
      unit: "rows",
      tell: count,
      isCount: true,
      series: named(history.backlog),
    },
    {
      title: "Disk free",
      unit: "",
      tell: bytes,
      series: [{ label: "disk", values: history.disk_free_bytes ?? [] }],
    },
  ].map((each) => ({
    ...each,
    series: each.series.filter(({ values }) => values.some((value) => value !== null)),
  }));
}
