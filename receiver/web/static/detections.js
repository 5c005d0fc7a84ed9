// The newest detections that this page has seen, bounded, whatever the tags and the rate.

import * as station from "./station.js";

const KEPT = 1000;
const TAGS_KEPT = 500;

/** Oldest first. */
let kept = [];
/** The tags heard here, by id, the one heard last at the end. */
const tags = new Map();

export function start() {
  station.on("detections", (detections) => {
    kept = kept.concat(detections).slice(-KEPT);
    for (const each of detections) {
      tags.delete(each.tag_id);
      tags.set(each.tag_id, each.tag_name);
    }
    for (const oldest of tags.keys()) {
      if (tags.size <= TAGS_KEPT) break;
      tags.delete(oldest);
    }
  });
}

/** Those that `matches`, newest first, at most `limit`. */
export function newest(matches, limit) {
  const found = [];
  for (let place = kept.length - 1; place >= 0 && found.length < limit; place -= 1) {
    if (matches(kept[place])) found.push(kept[place]);
  }
  return found;
}

/** Ids and names of the tags heard last, newest first. */
export const recentTags = () => [...tags].reverse();
