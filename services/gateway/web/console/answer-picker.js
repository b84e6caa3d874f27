/**
 * The list over the text bar in which an agent finds a canned answer by typing `/`.
 *
 * The pattern is the combo box with a list box (ARIA Authoring Practices): the text bar keeps the focus, and `aria-activedescendant` names the
 * option that Enter takes. A text area may not have the role `combobox` (ARIA in HTML), nor `aria-expanded`: a status says how many there are.
 */
import { queryOf, search, fill, textIn } from "./canned-answers.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";

const MOST = 20; // that are shown; more are found by typing on

/**
 * `{list, opener, status, key(event), update(), redraw(), enable(now)}` for the text bar `field`; `about()` tells what there is now, `look()`
 * asks for news, `onInsert()` hears that the text was changed. `key` returns true for a key that it took. Nothing is ever sent here.
 *
 * @param {Translator} t
 * @param {HTMLTextAreaElement} field
 * @param {{about(): ChatAnswers, look(): void, onInsert(): void}} options
 */
export function answerPicker(t, field, { about, look, onInsert }) {
  const list = h("ul", {
    role: "listbox",
    id: "canned-answers",
    "aria-label": t("answers"),
    tabindex: "-1",
    hidden: true,
    hook: "answer-list",
  });
  const status = h("p", { class: "hint", role: "status", hook: "answer-status" });
  const opener = button(t("answers.open"), {
    title: t("answers.open"),
    symbol: "canned",
    class: "answers-open",
    hidden: true,
    hook: "open-answer-list",
    onclick: open,
  });
  /** @type {CannedAnswer[]} */
  let found = [];
  let active = 0;
  let enabled = true;
  let dismissed = false; // Escape was pressed: the text that begins with `/` is meant so
  let pressed = false; // the `/` came from the button
  let isOpen = false;
  let shown = ""; // what the list was made of

  setAttribute(field, "aria-autocomplete", "list");

  const query = () => (enabled ? queryOf(field.value, field.selectionEnd) : null);

  function update() {
    const asked = query();
    if (asked === null) {
      dismissed = pressed = false;
      setText(status, "");
      return close();
    }
    if (dismissed) return;
    const { answers, failed, locale } = about();
    if (!answers || !isOpen) look();
    if (answers && !answers.length) return close();
    const looks = JSON.stringify([asked, failed, locale, answers?.map(({ id, revision }) => [id, revision])]);
    if (isOpen && shown === looks) return;
    shown = looks;
    show(answers ? search(answers, asked) : null, failed, locale);
  }

  /** @param {CannedAnswer[] | null} all @param {boolean} failed @param {string} locale */
  function show(all, failed, locale) {
    isOpen = true;
    found = all?.slice(0, MOST) ?? [];
    list.hidden = !found.length;
    list.replaceChildren(...found.map((one, index) => option(one, index, locale)));
    setAttribute(field, "aria-controls", found.length ? list.id : null);
    if (!all) setText(status, t(failed ? "answers.failed" : "answers.loading"));
    else if (!found.length) setText(status, t("answers.none"));
    else if (all.length > MOST) setText(status, t("answers.more", { n: all.length, shown: MOST }));
    else setText(status, t("answers.found", { n: all.length }));
    activate(0);
  }

  /** @param {CannedAnswer} one @param {number} index @param {string} locale */
  function option(one, index, locale) {
    const { language, text } = textIn(one, locale);
    return h(
      "li",
      {
        role: "option",
        id: `canned-answer-${index}`,
        hook: "answer-option",
        onmousedown: (/** @type {Event} */ event) => event.preventDefault(), // the focus stays
        onclick: () => choose(one),
      },
      h("strong", {}, `/${one.code}`),
      h("span", { class: "title" }, one.title),
      language !== locale && h("span", { class: "tag" }, t("answers.only_in", { language: t(`locale.${language}`) })),
      h("span", { class: "sample", lang: language, dir: "auto" }, text.slice(0, 200)),
    );
  }

  /** @param {number} index */
  function activate(index) {
    active = index;
    for (const [place, node] of [...list.children].entries()) setAttribute(node, "aria-selected", String(place === index));
    const node = list.children[index];
    setAttribute(field, "aria-activedescendant", node ? node.id : null);
    if (node) reveal(/** @type {HTMLElement} */ (node));
  }

  /**
   * Scrolls the list, and nothing else, so that this option stands in it. The list is positioned: `offsetTop` counts from it.
   *
   * @param {HTMLElement} node
   */
  function reveal(node) {
    const lowest = node.offsetTop + node.offsetHeight - list.clientHeight;
    list.scrollTop = Math.max(Math.min(list.scrollTop, node.offsetTop), lowest);
  }

  /** @param {CannedAnswer} one */
  function choose(one) {
    const { locale, values } = about();
    const { language, text } = textIn(one, locale);
    const { text: filled, missing } = fill(text, values);
    field.focus();
    field.setRangeText(filled, 0, field.selectionEnd, "end");
    dismissed = filled.startsWith("/");
    pressed = false;
    close();
    onInsert();
    const name = t(`locale.${language}`);
    const words = [
      language === locale
        ? t("answers.inserted", { language: name })
        : t("answers.inserted_other", { wanted: t.has(`locale.${locale}`) ? t(`locale.${locale}`) : locale, language: name }),
    ];
    if (missing.includes("citizen")) words.push(t("answers.no_name"));
    setText(status, words.join(" "));
  }

  function close() {
    if (!isOpen) return;
    isOpen = false;
    list.hidden = true;
    list.replaceChildren();
    found = [];
    shown = "";
    setText(status, "");
    for (const name of ["aria-controls", "aria-activedescendant"]) setAttribute(field, name, null);
  }

  function dismiss() {
    dismissed = true;
    if (pressed && query() === "") field.setRangeText("", 0, 1, "end");
    pressed = false;
    close();
    onInsert();
  }

  function open() {
    field.focus();
    if (query() === null) {
      field.setRangeText("/", 0, 0, "end");
      field.setSelectionRange(1, 1);
      pressed = true;
      onInsert();
    }
    dismissed = false;
    update();
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (!isOpen || event.isComposing || event.keyCode === 229) return false;
    if (event.key === "Escape") dismiss();
    else if (event.key === "Enter" && !event.shiftKey) found[active] && choose(found[active]);
    else if (found.length && (event.key === "ArrowDown" || event.key === "ArrowUp"))
      activate((active + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  field.addEventListener("focus", update);
  field.addEventListener("click", update);
  field.addEventListener("blur", close);

  return {
    list,
    opener,
    status,
    key,
    update,
    /** The answers may be others by now. */
    redraw() {
      opener.hidden = !enabled || !about().answers?.length;
      if (isOpen) update();
    },
    /** @param {boolean} now */
    enable(now) {
      enabled = now;
      opener.hidden = !enabled || !about().answers?.length;
      if (!now) (close(), setText(status, ""));
    },
  };
}
