// A beep for each reception, higher and longer where the tag is louder. Browsers let it sound only
// after somebody touched the page.

let air = null;

/** Make sound possible; call it from a click. */
export async function wake() {
  air ??= new AudioContext();
  await air.resume();
}

export async function sleep() {
  await air?.suspend();
}

/** Beep; `part` is the level's place between nothing heard (0) and very near (1). */
export function beep(part) {
  if (air === null || air.state !== "running") return;
  const tone = air.createOscillator();
  const loudness = air.createGain();
  const start = air.currentTime;
  const end = start + 0.08 + 0.12 * part;
  tone.frequency.value = 330 * 2 ** (2.2 * part);
  loudness.gain.setValueAtTime(0, start);
  loudness.gain.linearRampToValueAtTime(0.35, start + 0.01);
  loudness.gain.linearRampToValueAtTime(0, end);
  tone.connect(loudness).connect(air.destination);
  tone.start(start);
  tone.stop(end);
}
