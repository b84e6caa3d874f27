// What draws attention: a sound, and a notification of the desktop. Both are made by code, so the policy of a page forbids neither.

const TONES = {
  arrived: [
    [659, 0],
    [880, 0.16],
    [1047, 0.32],
  ],
  message: [[784, 0]],
}; // Hz, seconds

/**
 * The sound switch. Browsers play nothing before a first press, so the audio begins there.
 *
 * @param {{on: boolean, keep(on: boolean): void, signal?: AbortSignal}} options `on`: as it was kept; `keep(on)` keeps a choice;
 *   `signal` ends it
 */
export function chime({ on, keep, signal }) {
  /** @type {AudioContext | null} */
  let audio = null;
  const sound = {
    on,
    ready: () => audio?.state === "running",
    /** Resolves when the audio runs, or does not. @param {boolean} now */
    set(now) {
      sound.on = now;
      keep(now);
      return wake();
    },
    /** @param {keyof typeof TONES} name @param {number} [louder] times the usual volume, 6 at most */
    play: (name, louder = 1) => sound.on && audio?.state === "running" && ring(audio, TONES[name], louder),
  };
  const wake = async () => {
    if (!sound.on) return;
    audio ??= window.AudioContext ? new AudioContext() : null;
    if (audio?.state === "suspended") await audio.resume().catch(() => {});
  };
  for (const type of ["pointerdown", "keydown"]) addEventListener(type, wake, { capture: true, passive: true, signal });
  signal?.addEventListener("abort", () => audio?.close());
  return sound;
}

/** @param {AudioContext} audio @param {number[][]} tones @param {number} louder */
function ring(audio, tones, louder) {
  for (const [pitch, after] of tones) {
    const start = audio.currentTime + after;
    const tone = new OscillatorNode(audio, { type: "sine", frequency: pitch });
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.16 * louder, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.001, start + 0.45);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.5);
  }
}

/**
 * A message on the desktop, only while the page is out of sight. Never what somebody wrote: screens are read over shoulders.
 *
 * @param {string} words
 * @param {string} tag a notification takes the place of an earlier one with the same tag
 * @param {() => void} onPress
 * @returns {Notification | null} null where none is shown
 */
export function notify(words, tag, onPress) {
  if (notifyState() !== "granted" || document.visibilityState === "visible") return null;
  try {
    const note = new Notification(words, { tag });
    note.onclick = () => {
      window.focus();
      note.close();
      onPress();
    };
    return note;
  } catch {
    return null; // Some phones know the name but allow notifications from a service worker only.
  }
}

/** `granted`, `denied`, `default` (may be asked for) or `missing`. */
export const notifyState = () => ("Notification" in window ? Notification.permission : "missing");
