// Walk test: carry one tag around, see and hear how loud the station gets it, mark the places.

import { post } from "./api.js";
import { recentTags } from "./detections.js";
import { element, failure, say, show } from "./dom.js";
import { NONE, ago, antennaName, clockTime, drawnDbm, interval, isoOf, levelOf, levelPart } from "./format.js";
import { positionFields } from "./position.js";
import { sessionPanel } from "./session.js";
import * as station from "./station.js";
import { beep, sleep, wake } from "./tone.js";

/** Without a reception for so long the big number is old and shown so. */
const STALE_MS = 30000;

const tag = element("input", {
  name: "tag",
  list: "walk-tags",
  required: true,
  autocomplete: "off",
  maxlength: "64",
  autocapitalize: "characters",
  spellcheck: "false",
});
const offered = element("datalist", { id: "walk-tags" });
const sound = element("button", { type: "button", "aria-pressed": "false" }, "Sound");
const readout = element("div", { class: "readout" });
const value = element("span", {}, NONE);
const valueUnit = element("small", {}, " dBm");
const big = element("output", { class: "big" }, value, valueUnit);
const bar = element("i", {});
const words = element("p", { class: "words" });
const best = element("p", { class: "best" });
const antennas = element("ul", { class: "walk-antennas", "aria-label": "Level at each antenna" });
const note = element("input", {
  name: "note",
  maxlength: "200",
  autocomplete: "off",
  placeholder: "north bank, 40 m",
});
const position = positionFields();
const trouble = element("div", {});
const marks = element("ol", { class: "marks", reversed: true, "aria-label": "Marks" });
const signing = sessionPanel(
  "Marks are written into the store: that needs the station's password.",
);
const marking = element("form", { class: "panel marking", hidden: true });

let chosen = "";
let screen = null;
let state = fresh();

function fresh() {
  return { last: null, best: null, heard: 0, byAntenna: new Map() };
}

export function start(view) {
  const form = element(
    "form",
    { class: "carry" },
    element("label", {}, "Tag to carry ", tag),
    offered,
    element("button", { class: "main" }, "Start"),
    sound,
  );
  readout.append(big, element("span", { class: "meter", "aria-hidden": "true" }, bar), words, best);
  marking.append(
    element("h3", {}, "Mark this place"),
    element("p", { class: "muted" }, "A line with tag, level, time and place goes into the store."),
    position.node,
    element("label", {}, "Note ", note),
    element("button", { class: "main" }, "Mark"),
    trouble,
    marks,
  );
  view.append(
    element("h2", { id: "walk-title" }, "Walk test"),
    form,
    readout,
    antennas,
    marking,
    signing,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    choose(tag.value.trim());
  });
  sound.addEventListener("click", toggleSound);
  marking.addEventListener("submit", mark);
  station.on("detections", hear);
  station.on("tick", showAge);
  station.on("session", begin);
  // A hidden page loses its hold on the screen.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && document.body.dataset.section === "walk") keepAwake();
  });
  begin();
  showState();
}

/** Begin with the tag in the address, if there is one. */
export function enter(wanted) {
  offered.replaceChildren(
    ...recentTags().map(([id, name]) => element("option", { value: id }, name ?? id)),
  );
  if (wanted) choose(wanted);
  keepAwake();
}

export function leave() {
  screen?.release().catch(() => null);
  screen = null;
  if (sound.getAttribute("aria-pressed") === "true") toggleSound();
}

function choose(typed) {
  const wanted = named(typed) ?? canonical(typed);
  if (!wanted || wanted === chosen) return;
  chosen = wanted;
  tag.value = wanted;
  state = fresh();
  marks.replaceChildren();
  showState();
  window.history.replaceState(null, "", `#walk/${encodeURIComponent(wanted)}`);
  begin();
}

/** The id of a tag heard lately by its owner's name for it. */
const named = (typed) =>
  recentTags().find(([, name]) => name?.toLowerCase() === typed.toLowerCase())?.[0];

/** Hexadecimal ids are printed on tags in either case; detections carry capitals. */
const canonical = (typed) => (/^[0-9a-f]{8}$/i.test(typed) ? typed.toUpperCase() : typed);

/** Let the station follow the tag too, so that its marks know the best levels. */
async function begin() {
  const mayMark = station.session.can_change;
  show(marking, mayMark && chosen !== "");
  show(signing, !mayMark);
  if (!mayMark || !chosen) return;
  try {
    await post("/api/walk-test", { tag_id: chosen });
    trouble.replaceChildren();
  } catch (error) {
    trouble.replaceChildren(failure(error));
  }
}

async function toggleSound() {
  const isWanted = sound.getAttribute("aria-pressed") !== "true";
  sound.setAttribute("aria-pressed", String(isWanted));
  await (isWanted ? wake() : sleep());
  if (isWanted) beep(0.5);
}

/** A screen that goes dark ends the walk: ask that it stays on, where the browser can. */
async function keepAwake() {
  if (!("wakeLock" in navigator) || screen !== null) return;
  screen = await navigator.wakeLock.request("screen").catch(() => null);
  screen?.addEventListener("release", () => {
    screen = null;
  });
}

function hear(detections) {
  const mine = detections.filter((each) => each.tag_id === chosen);
  if (!mine.length) return;
  for (const each of mine) {
    state.heard += 1;
    state.last = each;
    const name = placeOf(each);
    const before = state.byAntenna.get(name);
    state.byAntenna.set(name, { last: each, best: louder(before?.best, each) });
    state.best = louder(state.best, each);
  }
  // One beep for what came together: twelve antennas are no chord.
  beep(levelPart(Math.max(...mine.map((each) => drawnDbm(each) ?? -200))));
  showState();
}

/** What passed the tag on counts for itself: it was not the station's antenna that heard it. */
const placeOf = (each) => each.relay_id ?? antennaName(each);

function louder(before, each) {
  if (!before) return each;
  return (drawnDbm(each) ?? -Infinity) > (drawnDbm(before) ?? -Infinity) ? each : before;
}

function showState() {
  const { last, best: loudest } = state;
  const part = last === null ? 0 : levelPart(drawnDbm(last));
  const [number, ...unit] = last === null ? [NONE, "dBm"] : levelOf(last).split(" ");
  say(value, number);
  say(valueUnit, ` ${unit.join(" ")}`);
  readout.dataset.near =
    last === null ? "none" : part > 0.66 ? "near" : part > 0.33 ? "middle" : "far";
  bar.style.transform = `scaleX(${part})`;
  say(
    best,
    loudest === null
      ? ""
      : `Best so far ${levelOf(loudest)} on ${placeOf(loudest)} at ${clockTime(loudest.time)} UTC, ${state.heard} heard`,
  );
  antennas.replaceChildren(
    ...[...state.byAntenna].map(([name, { last: each, best: top }]) =>
      element(
        "li",
        {},
        element("b", {}, name),
        element(
          "span",
          {},
          `${levelOf(each)}, best ${levelOf(top)}, every ${interval(each.interval_s)}`,
        ),
      ),
    ),
  );
  showAge(station.nowMs());
}

function showAge(nowMs) {
  const { last } = state;
  const ageMs = last === null ? Infinity : nowMs - Date.parse(last.time);
  readout.classList.toggle("old", ageMs > STALE_MS);
  const who = last?.tag_name ? `${last.tag_name} (${chosen})` : chosen;
  if (!chosen) say(words, "Choose the tag that you carry.");
  else if (last === null) say(words, `Listening for ${chosen} …`);
  else say(words, `${who} on ${placeOf(last)}, ${last.integrity}, ${ago(last.time, nowMs)}`);
}

async function mark(event) {
  event.preventDefault();
  trouble.replaceChildren();
  const told = note.value.trim();
  try {
    const { kept } = await post("/api/walk-test/mark", {
      tag_id: chosen,
      ...position.chosen(),
      ...(told ? { note: told } : {}),
    });
    marks.prepend(element("li", {}, `${clockTime(isoOf(station.nowMs()))} ${kept}`));
    note.value = "";
  } catch (error) {
    trouble.replaceChildren(failure(error));
  }
}
