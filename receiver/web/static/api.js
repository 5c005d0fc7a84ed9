// Asking the station. Its errors say what is wrong and what to do; both reach the reader.

const PATIENCE_MS = 15000;
const SESSION = "/api/session";

/** An answer that is no success. */
export class StationError extends Error {
  /** `advice` is what to do, `status` that of HTTP (0: no answer), `said` the answer's JSON. */
  constructor(message, advice = "", status = 0, said = {}) {
    super(message);
    this.advice = advice;
    this.status = status;
    this.said = said;
  }
}

/** A change answered so needs the password: there is no session, or no more. */
export const FORBIDDEN = new Set([401, 403]);

let token = null;
let afterRefusal = async () => {};

/** Call this, and wait, when a change is refused to this browser: its session may be over. */
export function heedRefusals(listener) {
  afterRefusal = listener;
}

/** Send this token along with every change; null forgets it. */
export function trust(csrf) {
  token = csrf;
}

/** The JSON at a path; raises StationError. */
export const read = (path, patienceMs = PATIENCE_MS) => asked(path, { method: "GET" }, patienceMs);

/** Ask whether a path could be read, and read nothing of it; raises StationError. */
export async function ask(path) {
  const answer = await answered(path, { method: "HEAD" });
  if (answer.ok) return;
  const words = await answered(path, { method: "GET" }); // The answer to HEAD has none.
  if (!words.ok) throw await refused(words);
  await words.body.cancel();
}

/** Post JSON; the answer's JSON; raises StationError. */
export const post = (path, body) =>
  asked(path, {
    method: "POST",
    headers: headers(),
    body: JSON.stringify(body),
  });

/** Delete; raises StationError. */
export const remove = (path) => asked(path, { method: "DELETE", headers: headers() });

function headers() {
  const base = { "Content-Type": "application/json" };
  return token === null ? base : { ...base, "X-CSRF-Token": token };
}

async function answered(path, request, patienceMs = PATIENCE_MS) {
  try {
    return await fetch(path, {
      ...request,
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(patienceMs),
    });
  } catch {
    throw new StationError("The station does not answer.", "Is it on, and are you in its network?");
  }
}

async function asked(path, request, patienceMs = PATIENCE_MS) {
  const answer = await answered(path, request, patienceMs);
  if (!answer.ok) {
    if (request.method !== "GET" && path !== SESSION && FORBIDDEN.has(answer.status)) {
      const before = token;
      await afterRefusal();
      // Another tab of this browser has signed in anew: what it may do, this one may.
      if (token !== null && token !== before)
        return asked(path, { ...request, headers: headers() }, patienceMs);
    }
    throw await refused(answer);
  }
  if (answer.status === 204) return null;
  try {
    return await answer.json();
  } catch {
    throw new StationError("The station's answer cannot be read.", "", answer.status);
  }
}

/** What an answer that is no success says. */
export async function refused(answer) {
  const said = await answer.json().catch(() => ({}));
  return new StationError(
    typeof said.error === "string" ? said.error : `The station answers ${answer.status}.`,
    typeof said.do === "string" ? said.do : "",
    answer.status,
    said,
  );
}
