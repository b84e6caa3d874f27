/**
 * When a person last used the keyboard or the pointer on this page. Nothing that the server sends may move the focus or swap the open chat
 * under the hands of a person who types: the rest of their sentence would go to another citizen than the one they write to.
 */
const KEYS = ["keydown", "beforeinput", "input", "paste", "drop", "compositionstart", "compositionupdate", "compositionend"];
const POINTER = ["pointerdown", "wheel", "touchmove"];
export const TYPING = 4000; // ms after the last key for which a person counts as typing

/** `{typing(), unused()}`: whether a person types now; ms since they last used the page. `target` and `now` take the browser's place in tests. */
export function watchActivity({ target = globalThis, now = () => performance.now() } = {}) {
  let key = -Infinity;
  let used = now(); // opening the page is a use of it
  /** @param {string[]} types @param {() => void} mark */
  const watch = (types, mark) => types.forEach((type) => target.addEventListener(type, mark, { capture: true, passive: true }));
  watch(KEYS, () => (key = used = now()));
  watch(POINTER, () => (used = now()));
  return { typing: () => now() - key < TYPING, unused: () => now() - used };
}
