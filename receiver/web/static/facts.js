// The station itself: who may change it, what it runs on, its radios, its ways out, its computer.

import { read } from "./api.js";
import { cards, element, facts, failure, show, sign } from "./dom.js";
import { NONE, ago, bytes, count, counted, dateTime, duration, quantity } from "./format.js";
import { sessionPanel } from "./session.js";
import * as station from "./station.js";

const LINK_SIGNS = {
  hearing: "verified",
  quiet: "unverified",
  starting: "unknown",
  silent: "failed",
  failed: "failed",
};
const SINK_SIGNS = {
  "up to date": "verified",
  sending: "verified",
  starting: "unknown",
  paused: "unverified",
  limited: "unverified",
  "not yet": "unverified",
  "by hand": "unverified",
  "no store": "warning",
  away: "warning",
  refused: "failed",
};

const now = element("div", { class: "columns" });
const fixed = element("div", {});
const commission = element("div", {});
let isSeen = false;
let shown = "";

export function start(view) {
  const open = element("button", { type: "button" }, "Put this station into service");
  open.addEventListener("click", async () => {
    const { open: begin } = await import("./commission.js");
    show(open, false);
    begin(commission);
  });
  view.append(
    element("h2", { id: "station-title" }, "Station"),
    sessionPanel(),
    now,
    element(
      "section",
      { class: "panel", "aria-labelledby": "commission-title" },
      element("h3", { id: "commission-title" }, "Commissioning"),
      element(
        "p",
        { class: "muted" },
        "Step by step: id and place, radios, antennas, a test tag on each, clock, first upload. It ends with a report to keep.",
      ),
      open,
      commission,
    ),
    element(
      "section",
      { class: "panel", "aria-labelledby": "facts-title" },
      element("h3", { id: "facts-title" }, "Facts"),
      fixed,
    ),
  );
  station.on("status", showNow);
}

export async function enter() {
  isSeen = true;
  if (station.status !== null) showNow(station.status);
  try {
    fixed.replaceChildren(nested(await read("/api/facts")));
  } catch (error) {
    fixed.replaceChildren(failure(error));
  }
}

export function leave() {
  isSeen = false;
}

function showNow(status) {
  if (!isSeen) return;
  // Without what changes by itself each time, so that nothing is drawn anew under a reader's finger.
  const told = JSON.stringify([
    status.links.map(({ last_heard_s: _, frames: __, ...link }) => link),
    status.sinks,
    status.store,
    status.clock.quality,
    status.clock.steps,
    status.host.temperature_c,
  ]);
  if (told === shown) return;
  shown = told;
  now.replaceChildren(
    panel("Time", clockFacts(status)),
    panel("Store", storeFacts(status.store)),
    panel("Radios and links", linkTable(status.links)),
    panel("Ways out", sinkTable(status.sinks)),
    panel("Computer", hostFacts(status.host)),
  );
}

function panel(title, content) {
  return element(
    "section",
    { class: "panel", "aria-label": title },
    element("h3", {}, title),
    content,
  );
}

function clockFacts({ clock, started, uptime_s: uptime, latitude, longitude }) {
  return facts([
    ["Clock", clock.quality],
    ["GPS", clock.gps],
    ["Steps", clock.steps ? count(clock.steps) : null],
    [
      "Position",
      latitude === null ? "not known" : `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`,
    ],
    ["Started", `${dateTime(started).slice(0, 16)}, ${duration(uptime)} ago`],
    ["All times", "UTC, also in files and exports"],
  ]);
}

function storeFacts(store) {
  return facts([
    ["State", store.state],
    ["Detections", count(store.detections)],
    ["Size", bytes(store.bytes)],
    ["Disk", `${bytes(store.free_bytes)} free of ${bytes(store.disk_bytes)}`],
    ["Grows", store.bytes_per_day === null ? null : `${bytes(store.bytes_per_day)} a day`],
    [
      "Room for",
      store.days_left === null ? null : `${count(Math.round(store.days_left))} days at this rate`,
    ],
    ["Waiting", `${counted(store.waiting_rows, "row")} not yet on the disk`],
    ["Lost", store.dropped_rows ? `${counted(store.dropped_rows, "row")} found no room` : null],
    ["Made room", prunedOf(store.rows_pruned)],
    ["Moved aside", store.set_aside.length ? store.set_aside.join(", ") : null],
    ["Identity", element("code", {}, store.store_uuid)],
  ]);
}

/** What was deleted so that newer rows have room; null where nothing was. */
function prunedOf(byTable) {
  const sum = (what) => Object.values(byTable).reduce((all, each) => all + (each[what] ?? 0), 0);
  const [sent, unsent] = [sum("acknowledged"), sum("unacknowledged")];
  if (!sent && !unsent) return null;
  const lost = unsent ? count(unsent) : "none";
  return `${counted(sent + unsent, "row")} deleted, ${lost} of them never sent`;
}

function linkTable(links) {
  if (!links.length) return element("p", { class: "muted" }, "No link is configured.");
  const rows = links.map((link) => [
    link.name,
    link.kind,
    named(LINK_SIGNS[link.state], link.state + (link.reason ? `: ${link.reason}` : "")),
    link.firmware ?? NONE,
    count(link.frames),
    count(link.unknown_frames),
  ]);
  return cards("Links", ["Link", "Kind", "State", "Firmware", "Frames", "Not understood"], rows);
}

function sinkTable(sinks) {
  if (!sinks.length)
    return element(
      "p",
      { class: "muted" },
      "Nothing is uploaded: data are fetched by hand, under Files.",
    );
  const rows = sinks.map((sink) => [
    sink.name,
    sink.kind,
    named(
      SINK_SIGNS[sink.state],
      [sink.state, sink.reason, sink.advice].filter(Boolean).join(": "),
    ),
    count(sink.waiting_rows),
    sink.oldest_waiting ? ago(sink.oldest_waiting, station.nowMs()) : NONE,
    sink.acknowledged_at ? ago(sink.acknowledged_at, station.nowMs()) : "never",
    count(sink.rows_refused),
  ]);
  return cards(
    "Ways out",
    ["Sink", "Kind", "State", "Rows waiting", "Oldest", "Acknowledged", "Rows refused"],
    rows,
  );
}

const named = (name, words) =>
  element("span", { class: "named" }, sign(name ?? "unknown"), element("span", {}, words));

function hostFacts(host) {
  return facts([
    ["Temperature", quantity(host.temperature_c, "°C")],
    ["Voltage", host.voltage_v === null ? null : quantity(host.voltage_v, "V", 2)],
    ["Undervoltage", undervoltage(host)],
    ["Load, last minute", host.load_1min === null ? null : host.load_1min.toFixed(2)],
    [
      "Memory",
      host.memory_bytes === null
        ? null
        : `${bytes(host.memory_free_bytes)} free of ${bytes(host.memory_bytes)}`,
    ],
    [
      "Memory of Stopover",
      host.process_memory_bytes === null ? null : bytes(host.process_memory_bytes),
    ],
    ["Running for", duration(host.uptime_s)],
    [
      "Written to disk",
      host.disk_written_bytes === null
        ? null
        : `${bytes(host.disk_written_bytes)} since it started`,
    ],
    [
      "Wear of the card",
      host.disk_wear_percent === null
        ? null
        : `at most ${quantity(host.disk_wear_percent, "%")} of its life`,
    ],
    ["Spare blocks of the card", host.disk_end_of_life],
  ]);
}

function undervoltage({ undervoltage: isNow, undervoltage_since_boot: was }) {
  if (isNow) return "now";
  if (was) return "since boot, not now";
  return isNow === null ? null : "none";
}

/** Whatever the station tells of itself: a name and its value, a list where there are several. */
function nested(told) {
  const list = facts(Object.entries(told).map(([name, value]) => [plain(name), shownOf(value)]));
  list.classList.add("long");
  return list;
}

const plain = (name) => name.replaceAll("_", " ");

function shownOf(value) {
  if (Array.isArray(value) && value.length) {
    return element("ul", {}, ...value.map((each) => element("li", {}, inLine(each))));
  }
  return inLine(value);
}

function inLine(value) {
  if (value === null || value === undefined || value === "") return NONE;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(inLine).join("; ") || "none";
  if (typeof value !== "object") return String(value);
  const known = Object.entries(value).filter(([, each]) => each !== null && each !== "");
  return known.map(([name, each]) => `${plain(name)} ${inLine(each)}`).join(", ") || NONE;
}
