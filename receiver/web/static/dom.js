// Making and changing elements. Text from the station only ever becomes text nodes.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, listeners (`onclick: f`) and children (nodes or text). */
export function element(name, attributes = {}, ...children) {
  return furnished(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function drawn(name, attributes = {}, ...children) {
  return furnished(document.createElementNS(SVG, name), attributes, children);
}

function furnished(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Set text only where it differs, so that an idle page repaints nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Show or hide. */
export function show(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

/** The element with that id; the page's own ids always exist. */
export const byId = (id) => document.getElementById(id);

/** One of the signs at the top of index.html; `words` where nothing beside it says the same. */
export function sign(name, words = null) {
  return drawn(
    "svg",
    words === null
      ? { class: "sign", "aria-hidden": "true" }
      : { class: "sign", role: "img", "aria-label": words },
    drawn("use", { href: `#${name}` }),
  );
}

/** Rows of names and what they are: [[name, node or text or null]…]; null is left out. */
export function facts(rows) {
  const list = element("dl", { class: "facts" });
  for (const [name, value] of rows) {
    if (value === null || value === undefined || value === "") continue;
    list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  }
  return list;
}

/** A table with a caption; cells are nodes or text; the first of each row is its header. */
export function table(caption, columns, rows, { isCaptionSeen = false } = {}) {
  const head = columns.map((name) => element("th", { scope: "col" }, name));
  const body = rows.map(([first, ...rest]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, first),
      ...rest.map((cell) => element("td", {}, cell ?? "")),
    ),
  );
  return element(
    "div",
    { class: "scroller", tabindex: "0", role: "region", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", isCaptionSeen ? {} : { class: "unseen" }, caption),
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...body),
    ),
  );
}

/** A table whose rows are cards on a phone; a column without a name is told by `unnamed`. */
export function cards(caption, columns, rows, unnamed = "") {
  // What is no table for the eye stays one for the ear by its roles.
  const head = columns.map((name) =>
    element(
      "th",
      { role: "columnheader", scope: "col" },
      name || element("span", { class: "unseen" }, unnamed),
    ),
  );
  const body = rows.map(([first, ...rest]) =>
    element(
      "tr",
      { role: "row" },
      element("th", { role: "rowheader", scope: "row" }, first),
      ...rest.map((cell, place) =>
        element("td", { role: "cell", "data-name": columns[place + 1] || null }, cell ?? ""),
      ),
    ),
  );
  return element(
    "table",
    { class: "stacked", role: "table" },
    element("caption", { class: "unseen" }, caption),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...head)),
    element("tbody", { role: "rowgroup" }, ...body),
  );
}

/** The words of an error, ended so that its advice can follow. */
export const opening = ({ message, advice }) =>
  advice && !/[.!?:]$/.test(message) ? `${message}:` : message;

/** What failed and what to do about it, as the station said it. */
export function failure(error) {
  return element(
    "p",
    { class: "failure", role: "alert" },
    sign("failed"),
    element(
      "span",
      {},
      element("strong", {}, opening(error)),
      error.advice ? ` ${error.advice}` : "",
    ),
  );
}
