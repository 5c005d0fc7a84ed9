// All tags the station has ever heard, a page at a time: ten thousand are as quick as ten.

import { read } from "./api.js";
import { cards, element, failure, say, sign } from "./dom.js";
import { NONE, count, counted, dateTime, level } from "./format.js";

const PAGE = 25;
const TYPING_MS = 250;
const SORTS = [
  ["last", "Heard last"],
  ["detections", "Most detections"],
  ["tag", "Tag id"],
];

const search = element("input", {
  type: "search",
  name: "search",
  maxlength: "64",
  autocomplete: "off",
});
const sort = element(
  "select",
  { name: "sort" },
  ...SORTS.map(([value, words]) => element("option", { value }, words)),
);
const summary = element("p", { class: "muted", role: "status" });
const results = element("div", {});
const back = element("button", { type: "button" }, "Previous page");
const on = element("button", { type: "button" }, "Next page");

let offset = 0;
let timer = 0;
let asked = 0;

export function start(view) {
  view.append(
    element("h2", { id: "tags-title" }, "Tags"),
    element(
      "form",
      { class: "fields row", role: "search", onsubmit: (event) => event.preventDefault() },
      element("label", {}, "Search tag or name ", search),
      element("label", {}, "Order ", sort),
    ),
    summary,
    results,
    element("div", { class: "bar pages" }, back, on),
  );
  search.addEventListener("input", () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => turn(0), TYPING_MS);
  });
  sort.addEventListener("change", () => turn(0));
  back.addEventListener("click", () => turn(Math.max(0, offset - PAGE)));
  on.addEventListener("click", () => turn(offset + PAGE));
}

export const enter = () => turn(offset);

export const leave = () => results.replaceChildren();

async function turn(first) {
  offset = first;
  asked += 1;
  const mine = asked;
  const query = new URLSearchParams({
    search: search.value.trim(),
    offset: String(offset),
    limit: String(PAGE),
    sort: sort.value,
  });
  try {
    const { total, tags } = await read(`/api/tags?${query}`, 60000);
    if (mine !== asked) return;
    say(
      summary,
      total
        ? `${count(offset + 1)} to ${count(offset + tags.length)} of ${counted(total, "tag")}`
        : "No tag is like that.",
    );
    results.replaceChildren(...(tags.length ? [listed(tags)] : []));
    back.disabled = offset === 0;
    on.disabled = offset + tags.length >= total;
  } catch (error) {
    if (mine === asked) results.replaceChildren(failure(error));
  }
}

const COLUMNS = [
  "Tag",
  "Detections",
  "Last heard, UTC",
  "First heard, UTC",
  "Antennas",
  "Best level",
  "Confidence",
  "",
];

const listed = (tags) => cards("Tags heard", COLUMNS, tags.map(row), "Walk test");

function row(tag) {
  const name = tag.tag_name ?? tag.tag_id;
  const which = document.createDocumentFragment();
  which.append(
    element("b", {}, name),
    tag.tag_name ? element("span", { class: "id" }, tag.tag_id) : "",
    element("span", { class: "muted" }, `${tag.protocol}${tag.is_known ? ", listed" : ""}`),
  );
  return [
    which,
    count(tag.detections),
    dateTime(tag.last),
    dateTime(tag.first),
    (tag.antennas ?? []).join(", "),
    level(tag.best_rssi_dbm),
    confidence(tag),
    element(
      "a",
      {
        class: "button",
        href: `#walk/${encodeURIComponent(tag.tag_id)}`,
        "aria-label": `Walk test with ${name}`,
      },
      "Walk test",
    ),
  ];
}

const SIGNS = { certain: "verified", likely: "repaired", doubtful: "warning", false: "failed" };

/** Tags whose runs are not sorted yet have none. */
function confidence({ confidence: word }) {
  if (!word) return NONE;
  return element("span", { class: "sure" }, sign(SIGNS[word] ?? "unknown"), word);
}
