/** The time after a chat in which its agent still has its slot: counted down above the page, until it is done or over. */
import { h, setText } from "../shared/dom.js";
import { button, keyed } from "./dom.js";
import { span } from "./format.js";
import { labelFields } from "./labels.js";

const HURRY = 10; // seconds left at which it is said once more

/**
 * RULES: the wrap-ups that the server tells, with what this page knows of their citizens, and until when they last by its own clock.
 *
 * @param {WrapUp[]} known what was listed before
 * @param {SentWrapUp[]} listed
 * @param {(id: string) => string | null} nameIn the citizen's name in a chat of the desk
 * @returns {WrapUp[]}
 */
export const wrapUps = (known, listed, nameIn) =>
  listed.map(({ chat_id: id, department, until = 0 }) => ({
    id,
    department,
    name: known.find((one) => one.id === id)?.name ?? nameIn(id),
    until,
  }));

/**
 * RULES: whole seconds left; never less than none.
 *
 * @param {WrapUp} one
 * @param {number} now in ms of the page's own clock
 */
export const wrapUpLeft = ({ until }, now) => Math.max(0, Math.ceil((until - now) / 1000));

/**
 * RULES: this second is said aloud: once, shortly before the end.
 *
 * @param {WrapUp} one
 * @param {number} now
 */
export const isSaid = (one, now) => wrapUpLeft(one, now) === HURRY;

/**
 * Whose chat it is, in words.
 *
 * @param {Translator} t
 * @param {WrapUp} one
 * @param {Map<string, string>} departments
 */
export const wrapUpWords = (t, one, departments) =>
  one.name ? t("wrap.with", { name: one.name }) : t("wrap.in", { department: departments.get(one.department) ?? one.department });

/**
 * Draws them into `place`; `onDone(id)` was pressed. `closing(id)`: the lists of its closing reasons and tags, null where nothing is to be said any
 * more; `fields` gets the fields of each. The time left is no news for a screen reader: it is said when it begins, and near its end.
 *
 * @param {Element} place
 * @param {Translator} t
 * @param {{list: WrapUp[], departments: Map<string, string>, now: number, onDone(id: string): void, closing(one: WrapUp): ClosingOptions | null, fields: Map<string, ReturnType<typeof labelFields>>}} options
 */
export function drawWrapUps(place, t, { list, departments, now, onDone, closing, fields }) {
  const items = list.map((one) => ({ key: one.id, one, words: wrapUpWords(t, one, departments) }));
  keyed(place, items, ({ one, words }, old) => {
    const row = old?.dataset.looks === t.language ? old : line(t, one.id, onDone);
    if (row !== old) {
      const options = closing(one);
      const chosen = fields.get(one.id)?.value(); // in the language before
      fields.delete(one.id);
      if (options) {
        const made = labelFields(t, options, chosen);
        fields.set(one.id, made);
        row.append(made.element);
      }
    }
    row.dataset.looks = t.language;
    setText(row.querySelector("bdi"), words);
    row.querySelector("button").setAttribute("aria-label", `${t("wrap.done")}: ${words}`);
    setText(row.querySelector(".left"), t("wrap.left", { time: span(wrapUpLeft(one, now), t.language) }));
    return row;
  });
}

/** @param {Translator} t @param {string} id @param {(id: string) => void} onDone */
function line(t, id, onDone) {
  return h(
    "div",
    { class: "banner", hook: "wrap-up" },
    h("p", { class: "words" }, h("bdi", {}), " ", h("strong", { class: "left", role: "timer" })),
    h("div", { class: "row" }, button(t("wrap.done"), { hook: "wrap-up-done", onclick: () => onDone(id) })),
  );
}
