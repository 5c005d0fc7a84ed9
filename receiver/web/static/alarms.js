// The strip of alarms: what is wrong, since when, what to do. A new one is said aloud, once.

import { byId, element, say, show, sign } from "./dom.js";
import { clockTime, duration } from "./format.js";
import * as station from "./station.js";

const title = element("h2", { class: "unseen" });
const list = element("ul", {});
/** By alarm and subject: the parts of its line. */
const lines = new Map();

export function start() {
  byId("alarms").append(title, list);
  station.on("status", ({ alarms }) => showAlarms(alarms));
  station.on("tick", showAges);
}

function showAlarms(alarms) {
  const now = new Set();
  for (const alarm of alarms) {
    const key = JSON.stringify([alarm.alarm, alarm.subject, alarm.since]);
    now.add(key);
    if (!lines.has(key)) lines.set(key, newLine(alarm));
    const line = lines.get(key);
    if (!line.node.isConnected) list.append(line.node);
    say(line.message, alarm.message);
    say(line.advice, alarm.do);
  }
  for (const [key, line] of lines) {
    if (now.has(key)) continue;
    line.node.remove();
    lines.delete(key);
  }
  say(title, alarms.length === 1 ? "1 alarm" : `${alarms.length} alarms`);
  show(byId("alarms"), alarms.length > 0);
  showAges(station.nowMs());
}

function newLine({ alarm, subject, since }) {
  const words = alarm.replaceAll("-", " ");
  const name = `${words[0].toUpperCase()}${words.slice(1)}`;
  const line = {
    since,
    age: element("time", { datetime: since, "aria-hidden": "true" }),
    message: element("span", {}),
    advice: element("p", { class: "do" }),
  };
  const what = element("strong", {}, subject ? `${name}: ${subject}` : name);
  const head = element("p", { class: "what" }, what, " ", line.age);
  line.node = element(
    "li",
    {},
    sign("warning"),
    element("div", {}, head, element("p", {}, line.message), line.advice),
  );
  return line;
}

function showAges(nowMs) {
  for (const { age, since } of lines.values()) {
    const seconds = (nowMs - Date.parse(since)) / 1000;
    say(age, `since ${clockTime(since)}, ${duration(seconds)}`);
  }
}
