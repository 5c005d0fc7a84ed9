// Which detections the live table shows.

import { byId, element } from "./dom.js";
import { antennaName } from "./format.js";
import * as station from "./station.js";

const INTEGRITIES = ["verified", "repaired", "unverified", "failed"];

/** Lets everything through. */
export const ANY = {
  tag: "",
  antenna: "",
  integrities: INTEGRITIES,
  isKnownOnly: false,
  matches: () => true,
};

/** What a form with the fields `tag`, `antenna`, `known` and one for each integrity asks for. */
export function filterOf(form) {
  const field = form.elements;
  const tag = field.tag.value.trim();
  const antenna = field.antenna.value;
  const integrities = INTEGRITIES.filter((name) => field[name].checked);
  const isKnownOnly = field.known.checked;
  if (!tag && !antenna && integrities.length === INTEGRITIES.length && !isKnownOnly) return ANY;
  const wanted = tag.toLowerCase();
  const matches = (each) =>
    (!antenna || antennaName(each) === antenna) &&
    integrities.includes(each.integrity) &&
    (!isKnownOnly || each.is_known) &&
    (!wanted ||
      each.tag_id.toLowerCase().includes(wanted) ||
      (each.tag_name ?? "").toLowerCase().includes(wanted));
  return { tag, antenna, integrities, isKnownOnly, matches };
}

/** The filter in words, for where it is folded away. */
export function wordsOf({ tag, antenna, integrities, isKnownOnly }) {
  return [
    tag && `“${tag}”`,
    antenna && `on ${antenna}`,
    integrities.length < INTEGRITIES.length && (integrities.join(", ") || "no integrity"),
    isKnownOnly && "listed tags only",
  ]
    .filter(Boolean)
    .join(", ");
}

let offered = "";

/** Offer the station's antennas for choice. */
export function offerAntennas() {
  station.on("status", ({ antennas }) => {
    const names = [...new Set(antennas.map(antennaName))];
    if (names.join("\n") === offered) return;
    offered = names.join("\n");
    const choice = byId("live-form").elements.antenna;
    const chosen = choice.value;
    choice.replaceChildren(
      element("option", { value: "" }, "All"),
      ...names.map((name) => element("option", { value: name }, name)),
    );
    choice.value = names.includes(chosen) ? chosen : "";
  });
}
