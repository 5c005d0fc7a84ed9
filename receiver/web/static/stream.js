// The one stream from the station: opened while the page is seen, resumed where it stopped.

import { StationError, read } from "./api.js";
import * as station from "./station.js";

/** Status comes every 5 s; four missed in a row mean that the line is dead though nobody said so. */
const SILENCE_MS = 20000;
/** A device that slept counts on where it stopped, but for its wall clock. */
const SLEPT_MS = 5000;
const DELAYS_S = [1, 1, 2, 4, 8, 15];

/** The status was just answered: a stream that does not open is refused, and EventSource has no words. */
const FULL = new StationError(
  "The station opens no live view.",
  "Perhaps too many look at it: close pages that nobody needs.",
  503,
);

let source = null;
let isOpening = false;
let newest = 0;
/** The newest event's id: `NUMBER-LIFE`, the word standing for this life of the daemon. */
let resumeAfter = "";
let failures = 0;
let retryTimer = 0;
let lastSignMs = 0;
let awakeSinceMs = wokeAtMs();

/** How the line is: `since` (ms of the station's time) when it stopped answering, `next` retry. */
export const line = { answers: true, since: 0, retryAt: 0, error: null };

/** Open the stream now, and again whenever the page is seen or the network comes back. */
export function start() {
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("online", open);
  // Else its silence would have to be noticed; a station that is near all the same answers at once.
  window.addEventListener("offline", () => source !== null && fail(null));
  window.addEventListener("pagehide", close);
  station.on("tick", () => {
    if (source === null) return;
    const hasSlept = Math.abs(wokeAtMs() - awakeSinceMs) > SLEPT_MS;
    awakeSinceMs = wokeAtMs();
    if (hasSlept) {
      close();
      open();
    } else if (performance.now() - lastSignMs > SILENCE_MS) fail(null);
  });
  return open();
}

/** When the page's own count of time would have begun, had the device never slept since. */
function wokeAtMs() {
  return Date.now() - performance.now();
}

/** Try at once. */
export async function open() {
  if (document.hidden || source !== null || isOpening) return;
  window.clearTimeout(retryTimer);
  isOpening = true;
  try {
    // Asked first: it says whether this is still the daemon whose numbers we know, and a refusal
    // (no password, too many readers) comes with words, which EventSource would not show.
    station.learn(await read("/api/status", 5000));
    if (!document.hidden) listen();
  } catch (error) {
    fail(error);
  } finally {
    isOpening = false;
  }
}

function listen() {
  const opened = new EventSource(`/api/live?since=${encodeURIComponent(resumeAfter)}`);
  source = opened;
  lastSignMs = performance.now();
  let isRefused = true;
  opened.addEventListener("open", () => {
    isRefused = false;
    answers();
    station.tell("connected");
  });
  opened.addEventListener("error", () => opened === source && fail(isRefused ? FULL : null));
  heed(opened, "status", station.learn);
  heed(opened, "detections", take);
  heed(opened, "log", (lines) => station.tell("log", lines));
}

function heed(opened, name, learn) {
  opened.addEventListener(name, (message) => {
    lastSignMs = performance.now();
    if (opened === source) learn(JSON.parse(message.data), message.lastEventId);
  });
}

function take(detections, id) {
  const last = detections.at(-1);
  if (last === undefined) return;
  // Another life counts from 1 again: all that it says is new.
  if (lifeOf(id) !== lifeOf(resumeAfter)) newest = 0;
  const fresh = detections.filter((each) => each.number > newest);
  newest = last.number;
  resumeAfter = id;
  if (fresh.length) station.tell("detections", fresh);
}

const lifeOf = (id) => id.split("-")[1];

function answers() {
  failures = 0;
  line.error = null;
  if (line.answers) return;
  line.answers = true;
  station.tell("answers", true);
}

function fail(error) {
  close();
  if (error instanceof StationError && error.status === 403) {
    station.enter({ ...station.session, can_read: false });
  }
  if (line.answers) line.since = station.nowMs();
  line.answers = false;
  line.error = error instanceof StationError && error.status ? error : null;
  const delayS = DELAYS_S[Math.min(failures, DELAYS_S.length - 1)];
  failures += 1;
  line.retryAt = station.nowMs() + delayS * 1000;
  retryTimer = window.setTimeout(open, delayS * 1000);
  station.tell("answers", false);
}

function close() {
  window.clearTimeout(retryTimer);
  source?.close();
  source = null;
}
