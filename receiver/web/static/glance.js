// The five questions of a site visit, answered in a line each: hears, clock, data, out, power.

import { byId, element, say, sign } from "./dom.js";
import { ago, bytes, count, counted, duration, quantity } from "./format.js";
import * as station from "./station.js";

const HEARING = new Set(["hearing", "quiet"]);
const GOOD_CLOCKS = new Set(["pps", "gps", "ntp"]);
/** Waiting for a day to be over, or for a new day's bytes, is how they are meant to be. */
const SINK_TROUBLE = new Set(["away", "refused", "no store", "paused"]);
const GOOD = "verified";
const WARN = "warning";
const BAD = "failed";
const UNKNOWN = "unknown";
const WORDS = { [GOOD]: "good", [WARN]: "look", [BAD]: "bad", [UNKNOWN]: "not known" };

/** Each answers [sign, short value, sentence]. */
const QUESTIONS = [
  ["Hears", "#antennas", hears],
  ["Clock", "#station", clock],
  ["Data", "#station", kept],
  ["Out", "#station", out],
  ["Power", "#station", power],
];

export function start() {
  const tiles = QUESTIONS.map(([name, href, answer]) => {
    const mark = element("span", { class: "mark" });
    const value = element("b", {});
    const words = element("span", { class: "words" });
    const link = element(
      "a",
      { href },
      mark,
      element("span", { class: "name" }, name),
      value,
      words,
    );
    byId("glance").append(element("li", {}, link));
    return (status) => {
      const [how, short, sentence] = answer(status);
      if (link.dataset.how !== how) {
        link.dataset.how = how;
        mark.replaceChildren(sign(how, WORDS[how]));
      }
      say(value, short);
      say(words, sentence);
    };
  });
  station.on("status", (status) => {
    for (const tile of tiles) tile(status);
  });
}

function hears({ links }) {
  if (!links.length) return [WARN, "none", "no radio is configured"];
  const ill = links.filter((link) => !HEARING.has(link.state));
  const well = links.length - ill.length;
  const starts = ill.every((link) => link.state === "starting");
  const how = !ill.length ? GOOD : starts ? UNKNOWN : well ? WARN : BAD;
  const words = ill.map((link) => `${link.name} ${link.state}`).join(", ");
  return [how, `${well}/${links.length}`, words || "every radio works"];
}

function clock({ clock: { quality, steps } }) {
  const isGood = GOOD_CLOCKS.has(quality);
  const words = isGood ? "time can be trusted" : "times are corrected later";
  return [
    isGood ? GOOD : WARN,
    isGood ? quality : "not set",
    steps ? `${words}, ${counted(steps, "step")}` : words,
  ];
}

function kept({ store, alarms }) {
  const left =
    store.days_left === null
      ? `${bytes(store.free_bytes)} free`
      : `room for ${count(Math.round(store.days_left))} d`;
  if (store.dropped_rows) return [BAD, "lost", `${count(store.dropped_rows)} rows found no room`];
  if (store.state === "opening") return [WARN, "opens", "the store is being checked"];
  if (store.state !== "writing") return [BAD, store.state.replace("-", " "), left];
  if (alarms.some((each) => each.alarm === "disk-low")) return [WARN, "disk low", left];
  return [GOOD, "safe", left];
}

function out({ sinks }) {
  if (!sinks.length) return [UNKNOWN, "local", "no upload is set up"];
  const waiting = sinks.reduce((sum, sink) => sum + sink.waiting_rows, 0);
  if (sinks.every((sink) => sink.state === "by hand"))
    return [UNKNOWN, "by hand", `${counted(waiting, "row")} waiting`];
  const ill = sinks.filter((sink) => sink.is_paused || SINK_TROUBLE.has(sink.state));
  // One way out that works says nothing of another that does not: that one's last success is told.
  const told = (ill.length ? ill : sinks).map((sink) => sink.acknowledged_at ?? "").sort();
  const acknowledged = ill.length ? told[0] : told.at(-1);
  const troubles = ill.map(({ name, is_paused: paused, state, reason }) =>
    paused ? `${name}: paused` : `${name}: ${reason ?? state}`,
  );
  return [
    ill.length ? WARN : GOOD,
    ago(acknowledged, station.nowMs()),
    [`${counted(waiting, "row")} waiting`, ...troubles].join(", "),
  ];
}

function power({ host, uptime_s }) {
  if (host.undervoltage) return [BAD, "low", "undervoltage now: look at supply and cable"];
  const isKnown = host.undervoltage !== null || host.voltage_v !== null;
  const steady = isKnown ? "steady" : "not told";
  const short = host.voltage_v === null ? steady : quantity(host.voltage_v, "V", 1);
  if (host.undervoltage_since_boot) return [WARN, short, "was too low since boot"];
  const warmth = host.temperature_c === null ? "" : `${quantity(host.temperature_c, "°C")}, `;
  return [isKnown ? GOOD : UNKNOWN, short, `${warmth}runs for ${duration(uptime_s)}`];
}
