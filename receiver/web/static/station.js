// What the page knows of the station, and who wants to hear of it.

const listeners = new Map();

/** The newest StationSnapshot; null before the first. */
export let status = null;
/** {can_read, can_change, password_set}. */
export let session = { can_read: true, can_change: false, password_set: false };

/** A daemon that has run for less long than it should have by now is another one. */
const RESTART_S = 3;

let heardAtMs = 0;
let stationMs = 0;

/**
 * Call `listener` at each of: `status`, `detections` (array, oldest first), `log` (array),
 * `session`, `answers` (true or false), `connected` (the stream opens), `restarted`, `tick` (each
 * second while the page is seen).
 */
export function on(topic, listener) {
  if (!listeners.has(topic)) listeners.set(topic, []);
  listeners.get(topic).push(listener);
}

export function tell(topic, value) {
  for (const listener of listeners.get(topic) ?? []) listener(value);
}

/** Take a snapshot; its clock becomes the page's. */
export function learn(snapshot) {
  const isAnother =
    status !== null &&
    snapshot.uptime_s + RESTART_S < status.uptime_s + (performance.now() - heardAtMs) / 1000;
  status = snapshot;
  heardAtMs = performance.now();
  stationMs = Date.parse(snapshot.clock.time);
  if (isAnother) tell("restarted", snapshot);
  tell("status", snapshot);
}

export function enter(known) {
  session = known;
  tell("session", known);
}

/** The station's time now in milliseconds, whatever this device's clock says. */
export function nowMs() {
  return status === null ? Date.now() : stationMs + performance.now() - heardAtMs;
}

let timer = 0;

function tick() {
  tell("tick", nowMs());
  // Just after the station's next full second, so that its clock shows no second twice.
  timer = window.setTimeout(tick, 1010 - (nowMs() % 1000));
}

/** Tick while the page is seen; a hidden page costs nothing. */
export function keepTime() {
  document.addEventListener("visibilitychange", () => {
    window.clearTimeout(timer);
    if (!document.hidden) tick();
  });
  if (!document.hidden) tick();
}
