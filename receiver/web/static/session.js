// Who may do what here: reading needs no password unless the owner wants one, changing does.

import { heedRefusals, post, read, remove, trust } from "./api.js";
import { byId, element, failure, say } from "./dom.js";
import * as station from "./station.js";
import { open } from "./stream.js";

/** Learn what this browser may do; ask for the password where it may not even read. */
export function start() {
  station.on("session", showSession);
  station.on("answers", (isBack) => isBack && refresh());
  heedRefusals(refresh);
  refresh();
}

/** Ask the station again what this browser may do. */
export async function refresh() {
  try {
    const { can_read, can_change, password_set, csrf } = await read("/api/session");
    trust(csrf ?? null);
    station.enter({ can_read, can_change, password_set });
  } catch {
    // Without an answer the banner already says so; it is asked again after the line is back.
  }
}

function showSession({ can_read, can_change, password_set }) {
  // Where no password is set there is nothing to sign in to.
  const offer = password_set ? "Sign in" : "Look only";
  say(byId("session-link"), can_change ? "Signed in" : offer);
  document.body.classList.toggle("barred", !can_read);
  if (!can_read && window.location.hash.split("/")[0] !== "#station")
    window.location.hash = "#station";
}

/** A panel that signs in or out, kept up to date. `reason` says what needs it. */
export function sessionPanel(reason = "") {
  const panel = element("div", { class: "panel session" });
  let shown = "";
  const draw = () => {
    const now = JSON.stringify(station.session);
    // Drawn anew it would lose what is typed, and why the last password was refused.
    if (now === shown) return;
    shown = now;
    panel.replaceChildren(...(station.session.can_change ? signedIn() : signedOut(reason)));
  };
  station.on("session", draw);
  draw();
  return panel;
}

function signedIn() {
  const out = element("button", { type: "button" }, "Sign out");
  out.addEventListener("click", async () => {
    await remove("/api/session").catch(() => null);
    trust(null);
    await refresh();
  });
  return [
    element("p", {}, "You may change this station."),
    ...(station.session.password_set ? [out] : []),
  ];
}

function signedOut(reason) {
  if (!station.session.password_set) {
    return [
      element(
        "p",
        {},
        reason || "Looking needs no password.",
        " To change anything here, the owner sets one:",
      ),
      element(
        "p",
        {},
        element("code", {}, "page.password_file"),
        " in the station's configuration names a file whose first line is the password.",
      ),
    ];
  }
  const password = element("input", {
    type: "password",
    name: "password",
    autocomplete: "current-password",
    required: true,
  });
  const trouble = element("div", {});
  const button = element("button", { class: "main" }, "Sign in");
  const form = element(
    "form",
    { class: "fields" },
    element(
      "p",
      {},
      reason ||
        (station.session.can_read
          ? "Whatever changes the station needs its password."
          : "This station asks for its password before it shows anything."),
    ),
    // Password keepers want a name beside the password.
    element("input", {
      type: "text",
      name: "username",
      autocomplete: "username",
      value: "station",
      hidden: true,
    }),
    element("label", {}, "Password of the station ", password),
    button,
    trouble,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    trouble.replaceChildren();
    button.disabled = true;
    try {
      await post("/api/session", { password: password.value });
      await refresh();
      open();
    } catch (error) {
      trouble.replaceChildren(failure(error));
      password.select();
    } finally {
      button.disabled = false;
    }
  });
  return [form];
}
