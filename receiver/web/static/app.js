// The page: what is always there, and one section at a time.

import { start as watchAlarms } from "./alarms.js";
import { start as showAntennas } from "./antennas.js";
import { byId, failure } from "./dom.js";
import { start as showGlance } from "./glance.js";
import { start as showHeader } from "./header.js";
import { start as showLive } from "./live.js";
import * as session from "./session.js";
import { keepTime, on } from "./station.js";
import * as stream from "./stream.js";

const FIRST = "live";
const EAGER = new Set(["live", "antennas"]);
const LATER = {
  plots: () => import("./plots.js"),
  walk: () => import("./walk.js"),
  tags: () => import("./tags.js"),
  files: () => import("./downloads.js"),
  log: () => import("./log.js"),
  station: () => import("./facts.js"),
};
const opened = new Map();

/** `#walk/61780007` is section `walk` with the words after the slash. */
function place() {
  const [name, ...rest] = window.location.hash.slice(1).split("/");
  const isKnown = EAGER.has(name) || name in LATER;
  return [isKnown ? name : FIRST, rest.map(readable).join("/")];
}

function readable(words) {
  try {
    return decodeURIComponent(words);
  } catch {
    return words;
  }
}

async function route({ isMove = true } = {}) {
  const [name, words] = place();
  const before = document.body.dataset.section;
  if (!EAGER.has(name)) byId(`view-${name}`).setAttribute("aria-busy", "true");
  document.body.dataset.section = name;
  for (const link of byId("sections").children) {
    if (link.hash === `#${name}`) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ inline: "center", block: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  for (const [other, view] of opened) if (other !== name) view.leave?.();
  if (isMove && before !== name) {
    byId("main").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
  if (!EAGER.has(name)) await show(name, words);
}

async function show(name, words) {
  const section = byId(`view-${name}`);
  let view;
  try {
    view = await LATER[name]();
  } catch {
    section.replaceChildren(notLoaded());
    section.removeAttribute("aria-busy");
    return;
  }
  if (!opened.has(name)) {
    opened.set(name, view);
    section.replaceChildren();
    view.start(section);
  }
  // Somebody may have gone on meanwhile.
  if (place()[0] === name) await view.enter?.(words);
  section.removeAttribute("aria-busy");
}

/** A section is fetched when it is wanted first; without the station there is none. */
function notLoaded() {
  return failure({
    message: "This section could not be fetched from the station.",
    advice: "It is tried again when the station answers; if it stays away, load the page again.",
  });
}

showHeader();
watchAlarms();
showGlance();
showLive();
showAntennas();
window.addEventListener("hashchange", () => {
  // The skip link leads to #main, which is no section.
  if (window.location.hash !== "#main") route();
});
// What a section told meanwhile, or could not ask for, is asked for when the station is back.
let hasConnected = false;
on("connected", () => {
  if (hasConnected) route({ isMove: false });
  hasConnected = true;
});
route({ isMove: false });
keepTime();
session.start();
stream.start();
