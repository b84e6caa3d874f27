// What writing a message has in common for citizens and agents.
import { LONGEST_TEXT } from "./conversation.js";

/** The number of characters left from which it is shown. */
export const COUNT_FROM = 500;

/** Return how many characters (Unicode code points) may still be written; negative when it is too long. */
export const charactersLeft = (text) => LONGEST_TEXT - [...text].length;

/** Return whether this press sends: Enter without Shift, and not the end of a composition (key code 229). */
export const isSubmitKey = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;
