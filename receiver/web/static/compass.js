// Where the antennas point and what each hears: north up, a petal for each antenna, its size the
// detections of the period. Antennas without a bearing lie in the middle.

import { byId, drawn, element, say } from "./dom.js";
import { ago, antennaName, count, counted } from "./format.js";
import * as station from "./station.js";

const MIDDLE = 160;
const RIM = 118;
const HUB = 26;
const PETAL_DEG = 34;
const PERIODS = { 1: "this hour", 24: "24 hours" };

let hours = 24;
let shown = "";
let parts = null;

export function start() {
  station.on("status", (status) => showCompass(status.antennas));
}

function showCompass(antennas) {
  parts ??= frame();
  const told = antennas.map((each) => [each, heardIn(each)]);
  const now = JSON.stringify([
    hours,
    told.map(([each, heard]) => [antennaName(each), each.bearing_deg, heard]),
  ]);
  if (now !== shown) {
    shown = now;
    draw(told);
  }
  say(parts.words, told.map(([each, heard]) => sentence(each, heard)).join(" "));
}

const heardIn = (antenna) =>
  (antenna.detections_by_hour ?? []).slice(-hours).reduce((sum, number) => sum + number, 0);

function sentence(antenna, heard) {
  const last = antenna.last_tag_id
    ? `, last ${antenna.last_tag_name ?? antenna.last_tag_id} ${ago(antenna.last_heard, station.nowMs())}`
    : "";
  const aim = antenna.bearing_deg === null ? "" : ` (${Math.round(antenna.bearing_deg)}°)`;
  return `${antennaName(antenna)}${aim}: ${counted(heard, "detection")}${last}.`;
}

function frame() {
  const choice = element("div", {
    class: "choice",
    role: "group",
    "aria-label": "Period of the compass",
  });
  for (const [number, words] of Object.entries(PERIODS)) {
    const button = element(
      "button",
      { type: "button", "aria-pressed": String(Number(number) === hours) },
      words,
    );
    button.addEventListener("click", () => {
      hours = Number(number);
      for (const other of choice.children)
        other.setAttribute("aria-pressed", String(other === button));
      showCompass(station.status?.antennas ?? []);
    });
    choice.append(button);
  }
  const rose = drawn("svg", { viewBox: "0 0 320 320", "aria-hidden": "true" });
  const words = element("figcaption", { class: "muted" });
  byId("compass").replaceChildren(choice, rose, words);
  return { rose, words };
}

function draw(told) {
  const most = Math.max(1, ...told.map(([, heard]) => heard));
  const aimed = told.filter(
    ([each]) => each.bearing_deg !== null && each.bearing_deg !== undefined,
  );
  const round = told.filter(([each]) => !aimed.some(([other]) => other === each));
  parts.rose.replaceChildren(
    ...[
      ...rings(),
      ...aimed.map(([each, heard]) => petal(each.bearing_deg, Math.sqrt(heard / most))),
      drawn("circle", {
        class: sumOf(round) ? "hub hears" : "hub",
        cx: MIDDLE,
        cy: MIDDLE,
        r: HUB,
      }),
      round.length ? drawn("text", { x: MIDDLE, y: MIDDLE + 5 }, count(sumOf(round))) : null,
      ...aimed.flatMap(([each, heard]) => labels(each, heard)),
    ].filter(Boolean),
  );
}

const sumOf = (told) => told.reduce((sum, [, heard]) => sum + heard, 0);

function rings() {
  const ticks = Array.from({ length: 24 }, (_, place) => {
    const [x1, y1] = at(place * 15, RIM);
    const [x2, y2] = at(place * 15, RIM - (place % 6 ? 4 : 9));
    return drawn("line", { class: "ring", x1, y1, x2, y2 });
  });
  const names = ["N", "E", "S", "W"].map((name, place) => {
    const [x, y] = at(place * 90, RIM + 30);
    return drawn("text", { class: "quarter", x, y: y + 6 }, name);
  });
  const circles = [RIM, (RIM + HUB) / 2].map((r) =>
    drawn("circle", { class: "ring", cx: MIDDLE, cy: MIDDLE, r }),
  );
  return [...circles, ...ticks, ...names];
}

/** A sector from the hub outwards; an antenna that hears nothing keeps a thin outline of its aim. */
function petal(bearing, part) {
  const outer = HUB + 8 + part * (RIM - HUB - 8);
  const corners = [
    at(bearing - PETAL_DEG / 2, HUB),
    at(bearing - PETAL_DEG / 2, outer),
    at(bearing + PETAL_DEG / 2, outer),
    at(bearing + PETAL_DEG / 2, HUB),
  ].map((corner) => corner.map((each) => each.toFixed(1)).join(" "));
  const [a, b, c, d] = corners;
  const path = `M${a}L${b}A${outer} ${outer} 0 0 1 ${c}L${d}A${HUB} ${HUB} 0 0 0 ${a}Z`;
  return drawn("path", { class: part ? "petal hears" : "petal", d: path });
}

function labels(antenna, heard) {
  const [x, y] = at(antenna.bearing_deg, RIM - 22);
  const name = antennaName(antenna);
  return [
    drawn("text", { class: "halo", x, y }, name.length > 12 ? `${name.slice(0, 11)}…` : name),
    drawn("text", { class: "halo number", x, y: y + 16 }, count(heard)),
  ];
}

function at(degrees, radius) {
  const turn = (degrees * Math.PI) / 180;
  return [MIDDLE + radius * Math.sin(turn), MIDDLE - radius * Math.cos(turn)];
}
