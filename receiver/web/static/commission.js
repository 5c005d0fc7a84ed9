// Putting a station into service: each step tells what is there and what to do, and takes answers.

import { FORBIDDEN, post, read } from "./api.js";
import { element, failure, say, sign } from "./dom.js";
import { sessionPanel } from "./session.js";
import * as station from "./station.js";

const SIGNS = { ok: "verified", waiting: "unknown", skipped: "unverified" };
const WORDS = { ok: "done", waiting: "waits", skipped: "skipped" };
/** What the steps find changes by itself: a radio appears, a tag is heard. */
const LOOK_MS = 3000;

const steps = element("ol", { class: "steps" });
const trouble = element("div", {});
const end = element("div", {});
const shown = new Map();
/** By step: answers that somebody began to give; they outlive a session that ends meanwhile. */
const begun = new Map();
let timer = 0;

/** Show the steps in `place` and keep them up to date while the section is seen. */
export function open(place) {
  const signing = sessionPanel("Commissioning changes the station: that needs its password.");
  place.replaceChildren(trouble, signing, steps, end);
  station.on("session", look);
  look();
}

async function look() {
  window.clearTimeout(timer);
  timer = window.setTimeout(look, LOOK_MS);
  if (document.hidden || document.body.dataset.section !== "station") return;
  try {
    showSteps(await read("/api/commission"));
    trouble.replaceChildren();
  } catch (error) {
    trouble.replaceChildren(failure(error));
  }
}

function showSteps(state) {
  for (const step of state.steps) {
    const known = shown.get(step.name);
    const now = JSON.stringify([step, station.session.can_change]);
    if (known?.now === now) continue;
    // A step that somebody is just answering stays as it is; only what it found is told.
    if (
      known &&
      known.node.contains(document.activeElement) &&
      document.activeElement.matches("input, select")
    ) {
      say(known.found, step.found);
      continue;
    }
    const drawn = drawStep(step);
    if (known) known.node.replaceWith(drawn.node);
    else steps.append(drawn.node);
    shown.set(step.name, { ...drawn, now });
  }
  showEnd(state);
}

function drawStep(step) {
  const found = element("p", {}, step.found);
  const node = element(
    "li",
    { "data-progress": step.progress },
    element("h4", {}, sign(SIGNS[step.progress], WORDS[step.progress]), ` ${step.title}`),
    found,
    step.do ? element("p", { class: "do" }, step.do) : null,
    step.reason ? element("p", { class: "muted" }, `Skipped: ${step.reason}`) : null,
    station.session.can_change ? answerForm(step) : null,
  );
  return { node, found };
}

function answerForm(step) {
  const failed = element("div", {});
  const fields = step.questions.map(field);
  const form = element("form", { class: "fields" }, ...fields.map((each) => each.label));
  const answers = () => Object.fromEntries(fields.map(({ input }) => [input.name, input.value]));
  form.addEventListener("input", ({ target: { name, value } }) => {
    if (name) begun.set(step.name, { ...begun.get(step.name), [name]: value });
  });
  for (const { input } of fields) input.value = begun.get(step.name)?.[input.name] ?? input.value;
  if (fields.length)
    form.append(element("button", { class: "main" }, step.progress === "ok" ? "Change" : "Take"));
  if (step.progress === "waiting") form.append(skipping(step, failed));
  if (step.progress === "skipped") {
    form.append(
      element(
        "button",
        { type: "button", onclick: () => answer(step.name, { skip: "" }, failed) },
        "Take it up again",
      ),
    );
  }
  form.append(failed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer(step.name, answers(), failed);
  });
  return step.progress === "ok" && fields.length
    ? element("details", { open: begun.has(step.name) }, element("summary", {}, "Change"), form)
    : form;
}

function field({ name, words, default: now, choices, required }) {
  const input = choices.length
    ? element(
        "select",
        { name, required },
        ...(required ? [] : [element("option", { value: "" }, "none")]),
        ...choices.map(({ value, words: told }) =>
          element("option", { value, selected: value === now }, told),
        ),
      )
    : element("input", { name, value: now, required, autocomplete: "off", maxlength: "500" });
  return { input, label: element("label", {}, `${words} `, input) };
}

function skipping({ name, title }, failed) {
  const why = element("input", {
    autocomplete: "off",
    maxlength: "200",
    "aria-label": `Why skip “${title}”`,
  });
  const button = element("button", { type: "button" }, "Skip, because");
  button.addEventListener("click", () => {
    if (why.value.trim()) answer(name, { skip: why.value.trim() }, failed);
    else why.focus();
  });
  return element("div", { class: "skipping" }, button, why);
}

async function answer(name, answers, failed) {
  try {
    const state = await post(`/api/commission/${name}`, answers);
    begun.delete(name);
    shown.delete(name);
    steps.replaceChildren();
    shown.clear();
    showSteps(state);
  } catch (error) {
    failed.replaceChildren(failure(error), ...toSave(error.said.text_to_save));
    // The session is over: the password is asked for above the first step, which may be far up.
    if (FORBIDDEN.has(error.status)) steps.parentElement.scrollIntoView();
  }
}

/** Where the station may not write its configuration, somebody else saves it. */
function toSave(text) {
  if (!text) return [];
  const title = "The new configuration, to be saved by hand";
  return [element("h5", {}, title), element("pre", { tabindex: "0", "aria-label": title }, text)];
}

function showEnd(state) {
  const left = state.steps.filter((step) => step.progress === "waiting").length;
  const restart = state.needs_restart.length
    ? `Restart the station for ${state.needs_restart.join(", ")}. `
    : "";
  const words = state.is_finished
    ? "Every step is done or skipped."
    : `${left} of ${state.steps.length} steps wait.`;
  const key = JSON.stringify([words, restart, station.session.can_change]);
  if (end.dataset.key === key) return;
  end.dataset.key = key;
  end.replaceChildren(
    element("p", { role: "status" }, `${restart}${words}`),
    element(
      "p",
      { class: "choice" },
      element(
        "a",
        { class: "button", href: "/api/commission/report.html", target: "_blank", rel: "noopener" },
        "Report",
      ),
      element(
        "a",
        { class: "button", href: "/api/commission/report.txt", download: "report.txt" },
        "As text",
      ),
      state.is_finished && station.session.can_change ? finishing() : null,
    ),
  );
}

function finishing() {
  const button = element(
    "button",
    { type: "button", class: "main" },
    "Finish: keep it in the store",
  );
  button.addEventListener("click", async () => {
    try {
      await post("/api/commission/finish", {});
      say(button, "Kept");
      button.disabled = true;
    } catch (error) {
      trouble.replaceChildren(failure(error));
    }
  });
  return button;
}
