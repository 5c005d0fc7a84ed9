// What is heard now, newest first. However much comes, the table keeps a bounded number of rows,
// is changed once a frame, and holds still while somebody reads further down.

import * as detections from "./detections.js";
import { byId, element, say, show, sign } from "./dom.js";
import {
  antennaName,
  clockTime,
  count,
  counted,
  drawnDbm,
  interval,
  levelOf,
  levelPart,
} from "./format.js";
import { ANY, filterOf, offerAntennas, wordsOf } from "./live_filter.js";
import * as station from "./station.js";

const ROWS = 150;
/** More new rows at once than this are too many to point each one out. */
const FLASHED = 6;

const cellsOf = new WeakMap();
let filter = ANY;
let waiting = [];
let isAtTop = true;
let isPaused = false;
let frame = 0;

export function start() {
  detections.start();
  offerAntennas();
  station.on("detections", (fresh) => {
    waiting = waiting.concat(fresh).slice(-ROWS * 2);
    frame ||= requestAnimationFrame(flush);
  });
  station.on("restarted", () => {
    waiting = [];
    byId("live-rows").prepend(note("The station started again."));
  });
  station.on("status", showRate);
  byId("live-pause").addEventListener("click", () => pause(!isPaused));
  byId("live-held").addEventListener("click", release);
  byId("live-rows").addEventListener("click", ({ target }) => {
    const tag = target.closest("button")?.dataset.tag;
    if (tag !== undefined) choose(filter.tag === tag ? "" : tag);
  });
  const form = byId("live-form");
  form.addEventListener("input", () => apply(filterOf(form)));
  form.addEventListener("submit", (event) => event.preventDefault());
  // A form has its old values until after the event.
  form.addEventListener("reset", () => queueMicrotask(() => apply(ANY)));
  // The button goes with the filter: who pressed it by a key stands where another one begins.
  byId("live-all").addEventListener("click", () =>
    byId("live-filters").querySelector("summary").focus({ preventScroll: true }),
  );
  new IntersectionObserver(([top]) => {
    isAtTop = top.isIntersecting || top.boundingClientRect.top > 0;
    if (isAtTop) frame ||= requestAnimationFrame(flush);
  }).observe(byId("live-top"));
}

/** Show one tag only; none shows all. */
function choose(tag) {
  byId("live-form").elements.tag.value = tag;
  apply(filterOf(byId("live-form")));
}

function apply(chosen) {
  filter = chosen;
  say(byId("live-filter-words"), wordsOf(filter));
  show(byId("live-all"), filter !== ANY);
  waiting = [];
  byId("live-rows").replaceChildren(
    ...detections.newest(filter.matches, ROWS).map((each) => filled(null, each)),
  );
  showHeld(0);
  showEmpty();
}

function pause(isWanted) {
  isPaused = isWanted;
  const button = byId("live-pause");
  button.setAttribute("aria-pressed", String(isPaused));
  say(button, isPaused ? "Go on" : "Pause");
  if (!isPaused) flush();
}

function release() {
  pause(false);
  isAtTop = true;
  flush();
  byId("view-live").scrollIntoView();
  byId("live-pause").focus({ preventScroll: true });
}

function flush() {
  frame = 0;
  const fresh = waiting.filter(filter.matches).slice(-ROWS);
  if (isPaused || !isAtTop) {
    showHeld(fresh.length);
    return;
  }
  waiting = [];
  showHeld(0);
  if (!fresh.length) return;
  const rows = byId("live-rows");
  const isFirst = !rows.childElementCount;
  const added = document.createDocumentFragment();
  for (const each of fresh) {
    const isFull = rows.childElementCount + added.childElementCount >= ROWS;
    added.prepend(filled(isFull ? rows.lastElementChild : null, each));
  }
  const newRows = [...added.children];
  rows.prepend(added);
  if (!isFirst && newRows.length <= FLASHED) newRows.forEach(flash);
  showEmpty();
}

function flash(row) {
  if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const tint = getComputedStyle(document.body).getPropertyValue("--fresh");
  row.animate([{ backgroundColor: tint }, { backgroundColor: "transparent" }], 1200);
}

/** A row for a detection: an old one written anew, or a new one. */
function filled(old, detection) {
  const row = old !== null && cellsOf.has(old) ? old : newRow();
  if (old !== null && row !== old) old.remove();
  const cells = cellsOf.get(row);
  say(cells.time, clockTime(detection.time));
  say(cells.tenth, detection.time.slice(19, 21));
  say(cells.name, detection.tag_name ?? detection.tag_id);
  say(cells.id, detection.tag_name === null ? "" : detection.tag_id);
  cells.tag.dataset.tag = detection.tag_id;
  say(
    cells.antenna,
    antennaName(detection) + (detection.relay_id ? ` via ${detection.relay_id}` : ""),
  );
  say(cells.level, levelOf(detection));
  cells.bar.style.transform = `scaleX(${levelPart(drawnDbm(detection))})`;
  if (row.dataset.integrity !== detection.integrity) {
    row.dataset.integrity = detection.integrity;
    cells.integrity.replaceChildren(
      sign(detection.integrity),
      element("span", {}, detection.integrity),
    );
  }
  row.classList.toggle("unlisted", !detection.is_known);
  say(cells.interval, interval(detection.interval_s));
  return row;
}

function newRow() {
  const cells = {
    name: element("b", {}),
    id: element("span", { class: "id" }),
    bar: element("i", {}),
    level: element("span", {}),
    time: element("span", {}),
    tenth: element("i", {}),
    antenna: cell("antenna"),
    integrity: cell("integrity"),
    interval: cell("interval"),
  };
  cells.tag = element(
    "button",
    { type: "button", class: "tag", title: "Show this tag only" },
    cells.name,
    cells.id,
  );
  const row = element(
    "tr",
    { role: "row" },
    cell("time", cells.time, cells.tenth),
    cell("which", cells.tag),
    cells.antenna,
    cell(
      "level",
      element("span", { class: "meter", "aria-hidden": "true" }, cells.bar),
      cells.level,
    ),
    cells.integrity,
    cells.interval,
  );
  cellsOf.set(row, cells);
  return row;
}

const cell = (name, ...children) => element("td", { role: "cell", class: name }, ...children);

function note(text) {
  return element(
    "tr",
    { role: "row", class: "note" },
    element("td", { role: "cell", colspan: "6" }, text),
  );
}

function showHeld(number) {
  const held = byId("live-held");
  if (number) say(held, `${counted(number, "new detection")} – show`);
  show(held, number > 0);
}

function showEmpty() {
  const empty = byId("live-empty");
  say(empty, filter === ANY ? "Nothing heard yet." : "Nothing heard that the filter lets through.");
  show(empty, !byId("live-rows").childElementCount);
}

function showRate({ detections_last_minute: lately, detections: all, tags }) {
  say(byId("live-minute"), `${count(lately)} in the last minute, ${count(all)} in all`);
  say(byId("live-tags"), ` since the start, of ${counted(tags, "tag")}`);
}
