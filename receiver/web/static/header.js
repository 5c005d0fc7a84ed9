// The top of the page: which station, its time, whether it answers.

import { byId, opening, say, show } from "./dom.js";
import { browserOffset, clockTime, duration, isoOf } from "./format.js";
import * as station from "./station.js";
import { line, open } from "./stream.js";

const CLOCKS = {
  pps: "good",
  gps: "good",
  ntp: "good",
};
/** A phone that is off by more than this misleads whoever compares it with the station. */
const DEVICE_OFF_S = 5;

export function start() {
  say(byId("offset"), `this device: ${browserOffset()}`);
  station.on("status", showStation);
  station.on("tick", (nowMs) => {
    if (station.status !== null) say(byId("utc"), clockTime(isoOf(nowMs)));
    if (!line.answers) showBanner();
  });
  station.on("answers", showBanner);
  station.on("session", showBanner);
  byId("banner-retry").addEventListener("click", open);
}

function showStation(status) {
  say(byId("utc"), clockTime(isoOf(station.nowMs())));
  say(byId("station-name"), status.station);
  const title = `${status.alarms.length ? `(${status.alarms.length}) ` : ""}${status.station} – Stopover`;
  if (document.title !== title) document.title = title;
  const quality = byId("clock-quality");
  say(quality, `clock: ${status.clock.quality}`);
  quality.className = `chip ${CLOCKS[status.clock.quality] ?? "warn"}`;
  quality.title = status.clock.gps ?? "";
  showOffset(status);
}

function showOffset(status) {
  const aheadS = (Date.now() - Date.parse(status.clock.time)) / 1000;
  const off =
    Math.abs(aheadS) > DEVICE_OFF_S
      ? `, its clock is ${duration(Math.abs(aheadS))} ${aheadS > 0 ? "ahead" : "behind"}`
      : "";
  say(byId("offset"), `this device: ${browserOffset()}${off}`);
}

function showBanner() {
  // Whoever may not look is asked for the password instead.
  const isAway = !line.answers && station.session.can_read;
  document.body.classList.toggle("stale", isAway);
  if (isAway) {
    const since = clockTime(isoOf(line.since));
    const leftS = Math.max(0, Math.ceil((line.retryAt - station.nowMs()) / 1000));
    const what =
      line.error === null
        ? `The station does not answer since ${since} UTC.`
        : `${opening(line.error)} ${line.error.advice}`;
    say(byId("banner-text"), `${what} Next try ${leftS ? `in ${leftS} s` : "now"}.`);
  }
  show(byId("banner"), isAway);
}
