// A message that is being written, by a citizen or an agent.
import { LONGEST_TEXT } from "./conversation.js";

/** The number of characters left from which it is shown. */
export const COUNT_FROM = 500;

/**
 * Return how many characters (Unicode code points) may still be written; negative when the text is too long.
 *
 * @param {string} text
 */
export const charactersLeft = (text) => LONGEST_TEXT - [...text].length;

/**
 * Return whether this key sends: Enter without Shift, and not the end of a composition (key code 229).
 *
 * @param {KeyboardEvent} event
 */
export const isSubmitKey = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;

/** Make a random UUID, also on plain http, where `crypto.randomUUID` is missing. */
export const newId = () =>
  crypto.randomUUID?.() ??
  "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) =>
    (+digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (+digit / 4)))).toString(16),
  );
