// A card for each antenna: does it hear, what, how loud, since when, and did it listen at all.

import { start as showCompass } from "./compass.js";
import { byId, element, facts, say, show, sign } from "./dom.js";
import { ago, antennaName, count, counted, level, levelOf, quantity } from "./format.js";
import { sparkline } from "./sparkline.js";
import * as station from "./station.js";

const HOW = {
  hearing: "verified",
  quiet: "unverified",
  starting: "unknown",
  silent: "failed",
  failed: "failed",
};
const WORDS = {
  hearing: "hears",
  quiet: "quiet",
  starting: "starts",
  silent: "silent: the radio does not answer",
  failed: "no connection",
};

/** A status may be a second old; what was heard later than this after it is of a clock set back. */
const AHEAD_MS = 2000;

/** By link and antenna: the card's parts and when it heard something last. */
const cards = new Map();
const keyOf = (each) => JSON.stringify([each.link, each.antenna]);

export function start() {
  station.on("status", showAntennas);
  station.on("detections", (detections) => {
    const newest = new Map(detections.map((each) => [keyOf(each), each]));
    for (const [key, each] of newest) {
      const card = cards.get(key);
      if (card) hear(card, each.time, each.tag_name ?? each.tag_id, each);
    }
  });
  station.on("tick", showAges);
  station.on("restarted", () => {
    for (const card of cards.values()) card.lastHeard = null;
  });
  showCompass();
}

function showAntennas({ antennas, links }) {
  const linkOf = new Map(links.map((link) => [link.name, link]));
  const seen = new Set();
  for (const antenna of withSilentLinks(antennas, links)) {
    const key = keyOf(antenna);
    seen.add(key);
    if (!cards.has(key)) {
      cards.set(key, newCard());
      byId("antenna-cards").append(cards.get(key).node);
    }
    fill(cards.get(key), antenna, linkOf.get(antenna.link));
  }
  for (const [key, card] of cards) {
    if (seen.has(key)) continue;
    card.node.remove();
    cards.delete(key);
  }
  showAges(station.nowMs());
}

/** Links that have no antenna yet are shown too: a radio that never spoke is what one looks for. */
function withSilentLinks(antennas, links) {
  const spoken = new Set(antennas.map((antenna) => antenna.link));
  const silent = links
    .filter((link) => !spoken.has(link.name))
    .map((link) => ({ link: link.name, antenna: null }));
  return [...antennas, ...silent];
}

function newCard() {
  const parts = {
    name: element("h3", {}),
    aim: element("span", { class: "muted" }),
    state: element("p", { class: "state" }),
    age: element("p", { class: "age" }),
    last: element("p", { class: "last" }),
    line: element("figure", {}),
    facts: element("div", {}),
    lastHeard: null,
    drawn: "",
  };
  parts.node = element(
    "article",
    { class: "card" },
    element("header", {}, parts.name, parts.aim),
    parts.state,
    parts.age,
    parts.last,
    parts.line,
    parts.facts,
  );
  return parts;
}

function fill(card, antenna, link) {
  const state = link?.state ?? "starting";
  card.node.dataset.state = state;
  say(card.name, antennaName(antenna));
  say(card.aim, aimOf(antenna));
  if (Date.parse(card.lastHeard) > station.nowMs() + AHEAD_MS) card.lastHeard = null;
  hear(
    card,
    antenna.last_heard ?? null,
    antenna.last_tag_name ?? antenna.last_tag_id,
    { rssi_dbm: antenna.last_rssi_dbm, snr_db: antenna.last_snr_db },
  );
  // Drawn again only where something changed: status comes every five seconds.
  const drawn = JSON.stringify([antenna, link?.state, link?.reason, link?.unknown_frames]);
  if (drawn === card.drawn) return;
  card.drawn = drawn;
  card.state.replaceChildren(
    sign(HOW[state] ?? "unknown"),
    element("span", {}, (WORDS[state] ?? state) + (link?.reason ? `, ${link.reason}` : "")),
  );
  card.line.replaceChildren(...(antenna.detections_by_hour?.length ? sparkline(antenna) : []));
  card.facts.replaceChildren(facts(rowsOf(antenna, link)));
}

/** Detections come at once, snapshots every five seconds: the later one of both is shown. */
function hear(card, time, tag, heard) {
  if (card.lastHeard !== null && (time === null || time < card.lastHeard)) return;
  card.lastHeard = time;
  show(card.last, Boolean(tag));
  if (tag) say(card.last, `${tag}, ${levelOf(heard)}`);
}

function aimOf({ antenna, link, kind, bearing_deg: bearing }) {
  const parts = [
    kind,
    bearing === null || bearing === undefined ? null : `${Math.round(bearing)}°`,
  ];
  return [...parts, antenna === null || antenna === link ? null : link].filter(Boolean).join(", ");
}

/** A software radio that is not calibrated knows its noise against its full scale only. */
const noiseOf = ({ noise_dbm: dbm, noise_dbfs: dbfs }) =>
  (dbm ?? null) === null && (dbfs ?? null) !== null
    ? quantity(dbfs, "dB relative to full scale", 1)
    : level(dbm);

function rowsOf(antenna, link) {
  const rejects = Object.entries(antenna.rejects ?? {});
  return [
    [
      "Detections",
      antenna.detections === undefined ? null : `${count(antenna.detections)} since start`,
    ],
    ["Tags", antenna.tags === undefined ? null : `${count(antenna.tags)} in the last hour`],
    ["Noise", antenna.noise_dbm === undefined ? null : noiseOf(antenna)],
    ["Gain", (antenna.gain_db ?? null) === null ? null : quantity(antenna.gain_db, "dB", 1)],
    ["This hour", antenna.frames === undefined ? null : counted(antenna.frames, "frame")],
    [
      "Rejected",
      rejects.length
        ? rejects.map(([reason, number]) => `${count(number)} ${reason}`).join(", ")
        : antenna.rejects && "none",
    ],
    ["Not understood", link?.unknown_frames ? counted(link.unknown_frames, "frame") : null],
    ["Firmware", link?.firmware],
  ];
}

function showAges(nowMs) {
  for (const card of cards.values()) {
    say(
      card.age,
      card.lastHeard === null ? "nothing heard yet" : `heard a tag ${ago(card.lastHeard, nowMs)}`,
    );
  }
}
