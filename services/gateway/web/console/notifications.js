/** What draws the attention: a chime, the title of the page, a notification of the desktop. */
import { choice, choose } from "./storage.js";

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
 * `{on, ready(), set(on), play("arrived" | "message")}`
 */
export function chime() {
  /** @type {AudioContext | null} */
  let audio = null;
  const sound = {
    on: choice("sound") !== "off",
    ready: () => audio?.state === "running",
    /** @param {boolean} on */
    set(on) {
      sound.on = on;
      choose("sound", on ? "on" : "off");
      if (on) wake();
    },
    /** @param {keyof typeof TONES} name */
    play: (name) => sound.on && audio?.state === "running" && ring(audio, TONES[name]),
  };
  const wake = () => {
    if (!sound.on) return;
    audio ??= window.AudioContext ? new AudioContext() : null;
    if (audio?.state === "suspended") audio.resume().catch(() => {});
  };
  for (const type of ["pointerdown", "keydown"]) addEventListener(type, wake, { capture: true, passive: true });
  return sound;
}

/** @param {AudioContext} audio @param {number[][]} tones */
function ring(audio, tones) {
  for (const [pitch, after] of tones) {
    const start = audio.currentTime + after;
    const tone = new OscillatorNode(audio, { type: "sine", frequency: pitch });
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.16, start + 0.02);
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
 * @param {string} tag
 * @param {() => void} onPress
 */
export function notify(words, tag, onPress) {
  if (!("Notification" in window) || Notification.permission !== "granted" || document.visibilityState === "visible") return;
  try {
    const note = new Notification(words, { tag });
    note.onclick = () => {
      window.focus();
      note.close();
      onPress();
    };
  } catch {
    // Some phones know the name but allow notifications from a service worker only.
  }
}

/** `granted`, `denied`, `default` (may be asked for) or `missing`. */
export const notifyState = () => ("Notification" in window ? Notification.permission : "missing");
