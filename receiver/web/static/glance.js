// The five questions of a site visit, answered in a line each: hears, clock, data, out, power.

import { byId, element, say, sign } from "./dom.js";
import { ago, bytes, count, counted, duration, quantity } from "./format.js";
import * as station from "./station.js";

const HEARING = new Set(["hearing", "quiet"]);
const GOOD_CLOCKS = new Set(["pps", "gps", "ntp"]);
const SINK_TROUBLE = new Set(["away", "refused"]);
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
  const well = links.filter((link) => HEARING.has(link.state)).length;
  const how = well === links.length ? GOOD : well ? WARN : BAD;
  if (!links.length) return [WARN, "none", "no radio is configured"];
  const ill = links
    .filter((link) => !HEARING.has(link.state))
    .map((link) => `${link.name} ${link.state}`);
  return [how, `${well}/${links.length}`, ill.length ? ill.join(", ") : "every radio works"];
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

function kept({ store }) {
  const left =
    store.days_left === null
      ? `${bytes(store.free_bytes)} free`
      : `room for ${count(Math.round(store.days_left))} d`;
  if (store.dropped_rows) return [BAD, "lost", `${count(store.dropped_rows)} rows found no room`];
  if (store.state === "opening") return [WARN, "opens", "the store is being checked"];
  if (store.state !== "writing") return [BAD, store.state, left];
  return [GOOD, "safe", left];
}

function out({ sinks }) {
  if (!sinks.length) return [UNKNOWN, "local", "no upload is set up"];
  const waiting = sinks.reduce((sum, sink) => sum + sink.waiting_rows, 0);
  const ill = sinks.filter((sink) => sink.reason && !sink.is_paused);
  const acknowledged = sinks
    .map((sink) => sink.acknowledged_at)
    .filter(Boolean)
    .sort()
    .at(-1);
  const words = ill.length ? `${ill[0].name}: ${ill[0].reason}` : `${count(waiting)} rows wait`;
  const how = sinks.some((sink) => SINK_TROUBLE.has(sink.state)) || ill.length ? WARN : GOOD;
  return [
    how,
    acknowledged ? ago(acknowledged, station.nowMs()).replace(" ago", "") : "never",
    words,
  ];
}

function power({ host, uptime_s }) {
  if (host.undervoltage) return [BAD, "low", "undervoltage now: look at supply and cable"];
  const short =
    host.voltage_v === null ? quantity(host.temperature_c, "°C") : quantity(host.voltage_v, "V", 1);
  const words = host.undervoltage_since_boot
    ? "was too low since boot"
    : `runs for ${duration(uptime_s)}`;
  if (host.undervoltage_since_boot) return [WARN, short, words];
  return [host.undervoltage === null && host.voltage_v === null ? UNKNOWN : GOOD, short, words];
}
