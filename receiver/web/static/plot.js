// One plot: drawn by uPlot, with a legend that is buttons, a summary in words, and its numbers as a
// table for whoever asks.

import { element, say, show, table } from "./dom.js";
import { NONE, dateTime, isoOf } from "./format.js";

const HEIGHT = 220;
/** Colours that the colour-blind can tell apart; more series repeat them dashed. */
const COLOURS = 8;
const ROWS = 400;

let loaded = null;

/** Load uPlot once, when the first plot is wanted. */
export function library() {
  loaded ??= new Promise((resolve, reject) => {
    document.head.append(
      element("link", { rel: "stylesheet", href: "/static/uPlot.min.css" }),
      element("script", {
        src: "/static/uPlot.iife.min.js",
        onload: resolve,
        onerror: () => {
          loaded = null;
          reject(new Error("The plots could not be loaded."));
        },
      }),
    );
  });
  return loaded;
}

export class Plot {
  constructor(title) {
    this.title = title;
    this.times = [];
    this.specification = null;
    this.hidden = new Set();
    this.uplot = null;
    this.canvas = element("div", { class: "canvas", "aria-hidden": "true" });
    this.legend = element("div", { class: "legend" });
    this.summary = element("figcaption", {});
    this.at = element("p", { class: "at muted", "aria-hidden": "true" });
    this.numbers = element("details", {}, element("summary", {}, "Numbers"));
    this.numbers.addEventListener("toggle", () => this.fillNumbers());
    this.node = element(
      "figure",
      { class: "plot" },
      element("h3", {}, title),
      this.summary,
      this.canvas,
      this.at,
      this.legend,
      this.numbers,
    );
    new ResizeObserver(() => this.fit()).observe(this.canvas);
  }

  /**
   * Take what `draw` draws: `series` [{label, values, isDashed?}] and `tell` (value → text); `unit` in
   * words, `range` and `ticks` of the values' axis where they are fixed, `isCount` where values are
   * whole and begin at 0, `isTotalled` where their sum says more than the last one.
   */
  show(times, specification) {
    this.times = times;
    this.specification = specification;
    say(this.summary, this.inWords());
    this.drawLegend();
    this.fillNumbers();
  }

  inWords() {
    const { series, tell, isTotalled } = this.specification;
    const told = series.slice(0, 4).map(({ label, values }) => {
      const known = values.filter((value) => value !== null);
      if (isTotalled) return `${label} ${tell(known.reduce((sum, value) => sum + value, 0))}`;
      const last = tell(known.at(-1));
      const span = `${tell(Math.min(...known))} to ${tell(Math.max(...known))}`;
      return known.length > 1 ? `${label} ${last} (${span})` : `${label} ${last}`;
    });
    const more = series.length > 4 ? `, and ${series.length - 4} more` : "";
    return `${isTotalled ? "In all" : "Last"}: ${told.join(", ")}${more}.`;
  }

  drawLegend() {
    const { series } = this.specification;
    show(this.legend, series.length > 1);
    this.legend.replaceChildren(
      ...series.map(({ label }, place) => {
        const button = element(
          "button",
          {
            type: "button",
            "aria-pressed": String(!this.hidden.has(label)),
            title: `Show or hide ${label}`,
          },
          element("i", { "data-colour": place % COLOURS }),
          element("span", {}, label),
        );
        button.addEventListener("click", () => {
          if (!this.hidden.delete(label)) this.hidden.add(label);
          button.setAttribute("aria-pressed", String(!this.hidden.has(label)));
          this.uplot?.setSeries(place + 1, { show: !this.hidden.has(label) });
        });
        return button;
      }),
    );
  }

  draw() {
    if (this.specification === null || !this.canvas.clientWidth) return;
    this.uplot?.destroy();
    const { series, isCount } = this.specification;
    const drawn = series.map(({ values }) => (isCount ? withLastStep(values) : [...values, null]));
    this.uplot = new window.uPlot(
      this.options(),
      [[...this.times, this.times.at(-1) + this.step()], ...drawn],
      this.canvas,
    );
  }

  /** Seconds from one time to the next. */
  step() {
    return this.times.length > 1 ? this.times[1] - this.times[0] : 60;
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    if (this.uplot === null) this.draw();
    else if (this.uplot.width !== width) this.uplot.setSize({ width, height: HEIGHT });
  }

  options() {
    const style = getComputedStyle(document.body);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: colour("--muted"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1 },
      font: "13px system-ui, sans-serif",
    };
    const { series, tell, range, ticks, isCount } = this.specification;
    return {
      width: this.canvas.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "plots" } },
      hooks: { setCursor: [({ cursor }) => this.showAt(cursor.idx)] },
      scales: {
        x: { range: (_, first, last) => [first, last] },
        y: { range: range ?? ((_, least, most) => spread(least, most, isCount)) },
      },
      axes: [
        { ...axis, space: 64, size: 34, values: timeLabels },
        {
          ...axis,
          size: 62,
          splits: ticks && (() => ticks),
          values: (_, splits) =>
            withoutRepeats(splits.map((value) => (isCount && value % 1 ? "" : tell(value)))),
        },
      ],
      series: [{}, ...series.map((each, place) => this.seriesOptions(each, place, colour))],
    };
  }

  seriesOptions({ label, isDashed }, place, colour) {
    const { isCount } = this.specification;
    const stroke = colour(`--plot-${place % COLOURS}`);
    return {
      label,
      show: !this.hidden.has(label),
      stroke,
      width: 2,
      dash: isDashed || place >= COLOURS ? [6, 4] : undefined,
      paths: isCount ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
      spanGaps: false,
      points: { show: (plot, at) => isAlone(plot, at) },
    };
  }

  showAt(under) {
    if (under === null || under === undefined) {
      say(this.at, "");
      return;
    }
    const place = Math.min(under, this.times.length - 1);
    const { series, tell } = this.specification;
    const told = series
      .filter(({ label, values }) => !this.hidden.has(label) && values[place] !== null)
      .map(({ label, values }) => `${label} ${tell(values[place])}`);
    say(
      this.at,
      `${dateTime(isoOf(this.times[place] * 1000)).slice(0, 16)}: ${told.slice(0, 6).join(", ") || NONE}`,
    );
  }

  fillNumbers() {
    if (!this.numbers.open || this.specification === null) return;
    const { series, tell, unit } = this.specification;
    const rows = this.times
      .map((time, place) => [
        dateTime(isoOf(time * 1000)).slice(0, 16),
        ...series.map(({ values }) => (values[place] === null ? NONE : tell(values[place]))),
      ])
      .slice(-ROWS)
      .reverse();
    this.numbers.replaceChildren(
      this.numbers.firstElementChild,
      table(
        `${this.title}, ${unit || "numbers"}, newest first`,
        ["Time, UTC", ...series.map(({ label }) => label)],
        rows,
      ),
    );
  }
}

/** A count lasts its whole step: the last one, which nothing follows, would have no width. */
function withLastStep(values) {
  const drawn = [...values, null];
  const last = values.findLastIndex((value) => value !== null);
  if (last >= 0) drawn[last + 1] = values[last];
  return drawn;
}

/** Lines need neighbours: values between gaps are points. */
function isAlone(plot, at) {
  const values = plot.data[at];
  return (
    values.every(
      (value, place) =>
        value === null ||
        (values[place - 1] ?? null) === null ||
        (values[place + 1] ?? null) === null,
    ) || values.filter((value) => value !== null).length < 3
  );
}

function spread(least, most, isCount) {
  if (least === null) return [0, 1];
  if (isCount) return [0, Math.max(1, most * 1.08)];
  const room = Math.max((most - least) * 0.1, Math.abs(most) * 0.002, 1e-6);
  return [least - room, most + room];
}

/** Rounding makes neighbours alike; one of them is enough. */
const withoutRepeats = (labels) =>
  labels.map((label, place) => (label === labels[place - 1] ? "" : label));

/** Hours as `14:00`; midnights as `05-01`. */
function timeLabels(_, splits) {
  return splits.map((seconds) => {
    const iso = isoOf(seconds * 1000);
    return iso.slice(11, 16) === "00:00" ? iso.slice(5, 10) : iso.slice(11, 16);
  });
}
