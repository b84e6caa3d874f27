/** What has just been done, with a button that undoes it: for a while, and for as long as a person is at it (WCAG 2.2.1). */
import { h, setText } from "../shared/dom.js";
import { button } from "./dom.js";

export const SHOWN = 30_000; // ms; the archive undoes it later
const AGAIN = 2_000; // ms until it is looked again whether a person is still at it

/**
 * `{element, show(words, undo), hide(), focus(), stop()}`. `undo()` is called at most once for each `show`.
 *
 * @param {Translator} t
 */
export function undoBar(t) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {(() => void) | null} */
  let act = null;
  const words = h("p", { id: "undo-words" });
  const press = button(t("questions.undo"), { hook: "question-undo", "aria-describedby": words.id, onclick: undo });
  const element = h(
    "div",
    { class: "undo", role: "group", tabindex: "-1", "aria-labelledby": words.id, hidden: true, hook: "undo-bar" },
    words,
    press,
  );

  function undo() {
    const now = act;
    act = null; // a second press, and a key that is held down, do nothing
    now?.();
  }

  function look() {
    const inUse = element.contains(document.activeElement) || element.matches(":hover");
    if (inUse) timer = setTimeout(look, AGAIN);
    else hide();
  }

  function hide() {
    clearTimeout(timer);
    act = null;
    element.hidden = true;
  }

  return {
    element,
    /** @param {string} said @param {() => void} onUndo */
    show(said, onUndo) {
      clearTimeout(timer);
      setText(words, said);
      act = onUndo;
      element.hidden = false;
      timer = setTimeout(look, SHOWN);
    },
    hide,
    focus: () => element.focus(),
    stop: () => clearTimeout(timer),
  };
}
