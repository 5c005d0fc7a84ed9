// The strip of alarms: what is wrong, since when, what to do. A new one is said aloud, once. Where
// there are many, their names alone, so that they do not hide the station that they are about.

import { byId, element, say, show, sign } from "./dom.js";
import { clockTime, dateTime, duration } from "./format.js";
import * as station from "./station.js";

/** So many are shown whole unasked. */
const FEW = 2;
const DAY_S = 86400;

const title = element("h2", { class: "unseen" });
const list = element("ul", {});
const unfold = element("button", { type: "button", "aria-expanded": "false" });
/** Whether somebody wants to read more than a few; null before they said. */
let isWhole = null;
/** By alarm and subject: the parts of its line. */
const lines = new Map();

export function start() {
  byId("alarms").append(title, list, unfold);
  unfold.addEventListener("click", () => {
    isWhole = !isWhole;
    fold();
  });
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
  if (alarms.length <= FEW) isWhole = null;
  fold();
  showAges(station.nowMs());
}

function fold() {
  const areMany = lines.size > FEW;
  const isFolded = areMany && !isWhole;
  byId("alarms").classList.toggle("folded", isFolded);
  show(unfold, areMany);
  unfold.setAttribute("aria-expanded", String(!isFolded));
  say(unfold, isFolded ? `${lines.size} alarms: what to do` : "Only their names");
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
    // An hour alone says nothing of the day before yesterday.
    const when = seconds < DAY_S ? clockTime(since) : dateTime(since).slice(5, 16);
    say(age, `since ${when}, ${duration(seconds)}`);
  }
}
