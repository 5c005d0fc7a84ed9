// The last 24 hours of an antenna in 24 bars; hours in which it did not listen all the time are hatched.

import { drawn, element } from "./dom.js";
import { count, counted } from "./format.js";

const WIDTH = 240;
const HEIGHT = 44;
/** A restart of seconds is no gap; nor is what is left of the hour that goes on. */
const LISTENED = 0.98;

/** The bars, and what they are in a line for the eye. */
export function sparkline({ detections_by_hour: hours, listening_by_hour: listening = [] }) {
  const most = Math.max(1, ...hours);
  const step = WIDTH / hours.length;
  const bars = hours.flatMap((number, place) => [
    gap(place, step, place < hours.length - 1 ? listening[place] : 1),
    bar(place, step, number / most),
  ]);
  const chart = drawn(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": words(hours, listening),
    },
    drawn("path", { class: "ground", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }),
    ...bars,
  );
  const isDeaf = bars.some((each) => each?.getAttribute("class") === "deaf");
  const heard = hours.some(Boolean) ? `at most ${count(most)} an hour` : "nothing heard";
  const gaps = isDeaf ? "; hatched: not listening" : "";
  const told = `Last ${hours.length} h: ${heard}${gaps}`;
  return [chart, element("figcaption", { "aria-hidden": "true" }, told)];
}

function bar(place, step, part) {
  if (part === 0) return null;
  const height = Math.max(2, part * (HEIGHT - 2));
  return drawn("rect", {
    class: "heard",
    x: place * step + 1,
    y: HEIGHT - height,
    width: step - 2,
    height,
  });
}

function gap(place, step, part) {
  if (part === undefined || part >= LISTENED) return null;
  const height = (1 - part) * HEIGHT;
  return drawn("rect", {
    class: "deaf",
    x: place * step,
    y: 0,
    width: step,
    height,
    fill: "url(#hatch)",
  });
}

function words(hours, listening) {
  const sum = hours.reduce((all, number) => all + number, 0);
  const heard = `Last ${hours.length} hours: ${counted(sum, "detection")}, at most ${Math.max(0, ...hours)} in an hour`;
  if (!listening.length) return heard;
  const listened = listening.reduce((all, part) => all + part, 0);
  return `${heard}; listened ${listened.toFixed(1)} of ${listening.length} hours`;
}
