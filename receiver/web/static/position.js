// Where a mark of a walk test was made: typed, the phone's, or none.

import { element, say, show } from "./dom.js";

const PATIENCE_MS = 15000;

/** Browsers give the phone's position to pages of https and of this machine only. */
const canAsk = window.isSecureContext && "geolocation" in navigator;

/** Fields for a position: `node`, and `chosen()` → {} or {latitude, longitude, accuracy_m?}. */
export function positionFields() {
  const latitude = coordinate("latitude", 90);
  const longitude = coordinate("longitude", 180);
  const said = element("span", { class: "muted", role: "status" });
  const ask = element("button", { type: "button" }, "Use this device's position");
  let accuracy = null;
  const forget = () => {
    accuracy = null;
  };
  latitude.addEventListener("input", forget);
  longitude.addEventListener("input", forget);
  ask.addEventListener("click", () => {
    say(said, "Asking for the position …");
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        latitude.value = coords.latitude.toFixed(6);
        longitude.value = coords.longitude.toFixed(6);
        accuracy = coords.accuracy;
        say(said, `good to ${Math.round(coords.accuracy)} m`);
      },
      (error) =>
        say(said, `No position: ${error.message || "not allowed"}. Type it, or leave it empty.`),
      { enableHighAccuracy: true, timeout: PATIENCE_MS },
    );
  });
  show(ask, canAsk);
  if (!canAsk)
    say(said, "The browser gives a page over http no position: type it, or note where you stand.");
  const node = element(
    "div",
    { class: "fields row" },
    element("label", {}, "Latitude ", latitude),
    element("label", {}, "Longitude ", longitude),
    ask,
    said,
  );
  return { node, chosen: () => chosen(latitude, longitude, accuracy) };
}

function coordinate(name, limit) {
  return element("input", {
    type: "number",
    name,
    min: -limit,
    max: limit,
    step: "any",
    inputmode: "decimal",
  });
}

function chosen(latitude, longitude, accuracy) {
  if (!latitude.value || !longitude.value) return {};
  const position = { latitude: Number(latitude.value), longitude: Number(longitude.value) };
  return accuracy === null ? position : { ...position, accuracy_m: accuracy };
}
