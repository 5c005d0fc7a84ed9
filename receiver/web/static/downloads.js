// Everything out of the station with a phone or a laptop: files that lie there, and periods.

import { ask, read, refused } from "./api.js";
import { cards, element, failure, say } from "./dom.js";
import { antennaName, bytes, dateTime, isoOf } from "./format.js";
import * as station from "./station.js";

const DAY_MS = 86400000;
const TABLES = [
  ["csv", "Table (CSV), for a spreadsheet or R"],
  ["json", "JSON, one object a line"],
];
const EXPORTS = [
  ["motus", "Motus"],
  ["ctt", "CTT files"],
  ["movebank", "Movebank"],
  ["darwin-core", "Darwin Core archive (GBIF, OBIS)"],
  ["euring", "EURING"],
];

const CONFIDENCES = [
  ["", "Any"],
  ["certain", "certain"],
  ["likely", "likely"],
  ["doubtful", "doubtful"],
];

const form = element("form", { class: "fields" });
const said = element("div", { role: "status" });
const files = element("div", {});

export function start(view) {
  const offered = [
    element("optgroup", { label: "Detections" }, ...options(TABLES)),
    element("optgroup", { label: "Exports" }, ...options(EXPORTS)),
  ];
  const antennas = element("select", { name: "antenna" }, element("option", { value: "" }, "All"));
  form.append(
    element(
      "div",
      { class: "fields row" },
      moment("since", "From, UTC"),
      moment("until", "To, UTC"),
      quick(),
    ),
    element("label", {}, "As ", element("select", { name: "format" }, ...offered)),
    element(
      "fieldset",
      { class: "fields row" },
      element("legend", {}, "Only (tables)"),
      element(
        "label",
        {},
        "Tag ",
        element("input", { name: "tag", maxlength: "64", autocomplete: "off" }),
      ),
      element("label", {}, "Antenna ", antennas),
      element(
        "label",
        {},
        "Confidence at least ",
        element("select", { name: "confidence" }, ...options(CONFIDENCES)),
      ),
    ),
    element("button", { class: "main" }, "Download"),
    said,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    download();
  });
  last(1);
  view.append(
    element("h2", { id: "files-title" }, "Files"),
    element("div", { class: "panel" }, element("h3", {}, "A period"), form),
    element("div", { class: "panel" }, element("h3", {}, "On the station"), files),
  );
  station.on("status", (status) => {
    const names = [...new Set(status.antennas.map(antennaName))];
    if (antennas.childElementCount !== names.length + 1) {
      antennas.replaceChildren(
        antennas.firstChild,
        ...names.map((name) => element("option", { value: name }, name)),
      );
    }
  });
}

export async function enter() {
  try {
    const listed = (await read("/api/downloads")).files;
    files.replaceChildren(
      listed.length
        ? cards("Files on the station", ["File", "What", "Size", "Written, UTC"], listed.map(row))
        : element("p", { class: "muted" }, "No files besides the store."),
    );
  } catch (error) {
    files.replaceChildren(failure(error));
  }
}

const options = (choices) => choices.map(([value, words]) => element("option", { value }, words));

const moment = (name, words) =>
  element("label", {}, `${words} `, element("input", { type: "datetime-local", name, step: 1 }));

function quick() {
  const choices = [
    ["Last day", 1],
    ["Week", 7],
    ["Month", 30],
    ["Everything", null],
  ];
  return element(
    "div",
    { class: "choice", role: "group", "aria-label": "Period" },
    ...choices.map(([words, days]) =>
      element("button", { type: "button", onclick: () => last(days) }, words),
    ),
  );
}

function last(days) {
  const { since, until } = form.elements;
  const now = station.nowMs();
  since.value = days === null ? "" : isoOf(now - days * DAY_MS).slice(0, 19);
  until.value = days === null ? "" : isoOf(now).slice(0, 19);
}

function row({ name, what, bytes: size, modified }) {
  const href = `/api/download/file/${encodeURIComponent(name)}`;
  return [element("a", { href, download: name }, name), what, bytes(size), dateTime(modified)];
}

/** `2026-05-01T10:00` as a browser gives it, with or without seconds, as ISO UTC. */
const utc = (local) => (local.length === 16 ? `${local}:00Z` : `${local.slice(0, 19)}Z`);

async function download() {
  const { format, since, until, tag, antenna, confidence } = form.elements;
  const query = new URLSearchParams();
  if (since.value) query.set("since", utc(since.value));
  if (until.value) query.set("until", utc(until.value));
  if (since.value && until.value && since.value >= until.value) {
    const error = { message: "The period is empty.", advice: "“From” must be before “To”." };
    said.replaceChildren(failure(error));
    return;
  }
  said.replaceChildren();
  if (TABLES.some(([name]) => name === format.value)) {
    if (tag.value.trim()) query.set("tag", tag.value.trim());
    if (antenna.value) query.set("antenna", antenna.value);
    if (confidence.value) query.set("min_confidence", confidence.value);
    await downloadTable(`/api/download/detections.${format.value}?${query}`);
    return;
  }
  await downloadExport(format.value, query);
}

/** The browser writes it to its disk as it comes: a season does not fit into a phone's memory. */
async function downloadTable(address) {
  try {
    await ask(address); // Of a download that fails the browser would tell in words of its own.
    save(address, "");
  } catch (error) {
    said.replaceChildren(failure(error));
  }
}

/** An export may be refused (it lacks what the owner must tell first): ask, then save. */
async function downloadExport(format, query) {
  say(said, "The station puts the files together …");
  try {
    const answer = await fetch(`/api/download/export/${format}.zip?${query}`, {
      cache: "no-store",
    });
    if (!answer.ok) throw await refused(answer);
    const address = URL.createObjectURL(await answer.blob());
    save(address, `${station.status?.station ?? "station"}-${format}.zip`);
    window.setTimeout(() => URL.revokeObjectURL(address), 60000);
    say(said, "Done.");
  } catch (error) {
    said.replaceChildren(failure(error));
  }
}

function save(href, name) {
  const link = element("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
