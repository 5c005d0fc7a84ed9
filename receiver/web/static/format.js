// How values are written: UTC, SI, a dash where there is none.

export const NONE = "–";
const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86400;

/** `14:05:09` of an ISO time; fractions to `digits` places. */
export function clockTime(iso, digits = 0) {
  if (!iso) return NONE;
  const end = digits ? 20 + digits : 19;
  return iso.slice(11, end).replace(/Z$/, "");
}

/** `2026-05-01 14:05:09` of an ISO time. */
export const dateTime = (iso) => (iso ? `${iso.slice(0, 10)} ${iso.slice(11, 19)}` : NONE);

/** ISO 8601 UTC of milliseconds, without their fraction. */
export const isoOf = (unixMs) => `${new Date(unixMs).toISOString().slice(0, 19)}Z`;

/** `12 s`, `3 min`, `2 h 5 min`, `12 d`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const s = Math.max(0, seconds);
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 90 * MINUTE_S) return `${Math.round(s / MINUTE_S)} min`;
  if (s < 2 * DAY_S) {
    const minutes = Math.round((s % HOUR_S) / MINUTE_S);
    return minutes && minutes < 60 && s < 10 * HOUR_S
      ? `${Math.floor(s / HOUR_S)} h ${minutes} min`
      : `${Math.round(s / HOUR_S)} h`;
  }
  return `${Math.round(s / DAY_S)} d`;
}

/** How long ago an ISO time was at `nowMs`. */
export function ago(iso, nowMs) {
  if (!iso) return "never";
  const seconds = (nowMs - Date.parse(iso)) / 1000;
  return seconds < 1 ? "just now" : `${duration(seconds)} ago`;
}

/** Seconds between two receptions of a tag, to the tenth where that says something. */
export function interval(seconds) {
  if (seconds === null || seconds === undefined) return "first";
  return seconds < 100 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

/** A number with its unit, rounded. */
export function quantity(value, unit, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return `${value.toFixed(digits).replace("-", "−")} ${unit}`;
}

export const level = (dbm) => quantity(dbm, "dBm");

/** A detection's level as it is told: dBm, or dB over the noise where the radio knows no dBm. */
export const levelOf = (heard) =>
  heard.rssi_dbm === null || heard.rssi_dbm === undefined
    ? quantity(heard.snr_db, "dB over noise")
    : level(heard.rssi_dbm);

const USUAL_NOISE_DBM = -114;

/** Where a detection's level is drawn, and how it sounds: see `drawn_dbm` in receiver/live.py. */
export const drawnDbm = (heard) =>
  heard.rssi_dbm ?? (heard.snr_db === null ? null : USUAL_NOISE_DBM + heard.snr_db);

/** `12 345`, with thin spaces. */
export const count = (number) =>
  number === null || number === undefined
    ? NONE
    : String(number).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

/** `1 detection`, `2 detections`. */
export const counted = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** Bytes in the largest unit that keeps three digits. */
export function bytes(number) {
  if (number === null || number === undefined) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = number;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `UTC+02:00` of this browser. */
export function browserOffset() {
  const minutes = -new Date().getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  const two = (number) => String(number).padStart(2, "0");
  return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** Part of the width of a level's bar: −115 dBm is nothing, −35 dBm is all. */
export function levelPart(dbm) {
  if (dbm === null || dbm === undefined) return 0;
  return Math.min(1, Math.max(0.02, (dbm + 115) / 80));
}

/** What an antenna of a link is called where both must be told apart. */
export const antennaName = (each) => each.antenna ?? each.link;
