// The tail of the station's log, newest last, following as it comes unless somebody reads above.

import { read } from "./api.js";
import { element, failure, say } from "./dom.js";
import { clockTime, dateTime } from "./format.js";
import * as station from "./station.js";

const KEPT = 500;
const LEVELS = ["debug", "info", "warning", "error"];

const list = element("ol", { class: "log", tabindex: "0", "aria-label": "Log lines, newest last" });
const choice = element(
  "select",
  { name: "level" },
  element("option", { value: "debug" }, "Everything"),
  element("option", { value: "warning" }, "Warnings and errors"),
  element("option", { value: "error" }, "Errors"),
);
const trouble = element("div", {});
let newest = 0;

export function start(view) {
  const copy = element("button", { type: "button" }, "Copy");
  view.append(
    element("h2", { id: "log-title" }, "Log"),
    element("div", { class: "bar" }, element("label", {}, "Show ", choice), copy),
    trouble,
    list,
  );
  choice.addEventListener("change", () => {
    list.dataset.least = choice.value;
    list.scrollTop = list.scrollHeight;
  });
  copy.addEventListener("click", async () => {
    const text = [...list.children].map((line) => line.textContent).join("\n");
    // Over http there is no clipboard: select the lines, so that one tap copies them.
    await (navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"))).then(
      () => say(copy, "Copied"),
      () => window.getSelection().selectAllChildren(list),
    );
  });
  station.on("log", append);
  station.on("restarted", () => {
    newest = 0;
    enter();
  });
}

export async function enter() {
  try {
    const { lines } = await read(`/api/log?since=${newest}`);
    trouble.replaceChildren();
    append(lines);
  } catch (error) {
    trouble.replaceChildren(failure(error));
  }
}

function append(lines) {
  const fresh = lines.filter((line) => line.n > newest);
  if (!fresh.length) return;
  newest = fresh.at(-1).n;
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(...fresh.map(shown));
  while (list.childElementCount > KEPT) list.firstElementChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function shown({ time, level, event, text }) {
  const known = LEVELS.includes(level) ? level : level === "critical" ? "error" : "info";
  return element(
    "li",
    { "data-level": known },
    element("time", { datetime: time, title: `${dateTime(time)} UTC` }, clockTime(time)),
    " ",
    element("b", {}, level),
    " ",
    element("span", { class: "event" }, event),
    " ",
    element("span", { class: "text" }, text),
  );
}
