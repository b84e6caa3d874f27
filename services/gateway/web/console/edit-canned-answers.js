/** Canned answers as supervisors manage them: the list, and the form in its place. */
import { differs, draftOf, faultsOf, search, textIn, VARIABLES } from "./canned-answers.js";
import { confirm } from "./dialogs.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button, keyed } from "./dom.js";
import { clock } from "./format.js";
import { LANGUAGES } from "./i18n.js";
import { overview } from "./side-page.js";

const FAILED = ["too_many_answers", "forbidden", "gone", "invalid"]; // what a server says, and there are words for

/**
 * `{element, draw(), focus(), changed(), leave(go), stop()}`; `own`: the supervisor's departments, which `names()` names by id; `say` speaks, `acts` as in `overview`.
 * What is being written is kept in `canned` while the page shows a chat. `leave` asks first where something was changed.
 *
 * @param {Translator} t
 * @param {{canned: ReturnType<typeof import("./canned-answers.js").cannedAnswers>, own: string[], names(): Map<string, string>, say(words: string, how?: string): void, acts: {back: (() => void) | null}}} options
 */
export function answersView(t, { canned, own, names, say, acts }) {
  const filter = h("input", { type: "text", id: "answers-search", autocomplete: "off", hook: "answers-search", oninput: draw });
  const find = h("label", { class: "field" }, t("answers.search"), filter);
  const frame = overview(t, { title: t("answers"), lead: t("answers.lead"), extra: [find], acts: { ...acts, refresh: canned.refresh } });
  const add = button(t("answers.add"), { class: "main", hook: "answer-add", onclick: () => edit(draftOf(null, own)) });
  const empty = h("p", { class: "none" });
  const rows = h("ul", { class: "questions answers", hook: "answers" });
  const place = h("div", { hook: "answer-form" });
  frame.body.append(h("div", { class: "answers-acts" }, add), place, empty, rows);
  /** @type {ReturnType<typeof answerForm> | null} */
  let form = null;

  function draw() {
    const list = canned.list();
    const shown = list ? search(list, filter.value) : [];
    frame.asOf(canned.at());
    frame.tell(canned.failed() ? t("overview.failed") : "");
    for (const node of [add, find, rows]) node.hidden = form !== null;
    empty.hidden = form !== null || list === null || shown.length > 0;
    setText(empty, t(list?.length ? "answers.none_found" : "answers.empty"));
    form?.draw();
    keyed(
      rows,
      shown.map((one) => ({ key: one.id, one })),
      ({ one }, old) => {
        const looks = JSON.stringify([one.revision, one.departments.map(nameOf)]);
        if (old?.dataset.looks === looks) return old;
        const node = item(one);
        node.dataset.looks = looks;
        return node;
      },
    );
  }

  /** @param {string} id */
  const nameOf = (id) => names().get(id) ?? id;
  /** @param {CannedAnswer} one */
  const mayChange = (one) => one.departments.every((id) => own.includes(id) || (names().size > 0 && !names().has(id)));

  /** @param {CannedAnswer} one */
  function item(one) {
    const { language, text } = textIn(one, t.language);
    const label = `/${one.code}`;
    return h(
      "li",
      { class: "question", hook: "answer" },
      h("h3", {}, `${label} – `, h("bdi", {}, one.title)),
      h(
        "p",
        { class: "facts" },
        h("span", {}, one.departments.map(nameOf).join(", ")),
        h(
          "span",
          {},
          LANGUAGES.filter((each) => Object.hasOwn(one.texts, each))
            .map((each) => t(`locale.${each}`))
            .join(", "),
        ),
        h("span", { hook: "answer-changed" }, changedWords(t, one)),
      ),
      h("p", { class: "text", lang: language, dir: "auto" }, text),
      mayChange(one)
        ? h(
            "div",
            { class: "row" },
            button(t("answers.edit"), {
              hook: "answer-edit",
              "aria-label": t("answers.edit_of", { code: label }),
              onclick: () => edit(draftOf(one, own)),
            }),
            button(t("answers.remove"), {
              hook: "answer-remove",
              "aria-label": t("answers.remove_of", { code: label }),
              onclick: () => askRemoval(one),
            }),
          )
        : h("p", { class: "who" }, t("answers.shared")),
    );
  }

  /** @param {CannedAnswerDraft} draft */
  function edit(draft) {
    canned.keep(draft);
    open(draft);
    form?.focus();
  }

  /** @param {CannedAnswerDraft} draft */
  function open(draft) {
    form = answerForm(t, { draft, own, names, onSave: () => save(draft), onCancel: () => cancel(draft), onTake: edit });
    place.replaceChildren(form.element);
    draw();
  }

  /** @param {CannedAnswerDraft} draft */
  async function save(draft) {
    const made = form;
    const { problem, current } = await canned.save(draft);
    const more = !problem && current && canned.draft() === draft && differs(draft, current); // was changed meanwhile
    if (!problem && current) Object.assign(draft, { id: current.id, revision: current.revision });
    if (!problem && !more && canned.draft() === draft) canned.keep(null);
    if (problem === "changed") draft.conflict = current;
    if (problem === "gone") Object.assign(draft, { id: null, revision: 0, conflict: null });
    if (more) say(`${t("answers.said_saved")} ${t("config.not_yet")}`, "loud");
    else if (!problem) say(t("answers.said_saved"));
    if (form !== made) return problem && say(t("answers.failed_save"), "loud"); // the page shows something else by now
    if (more) return draw();
    if (problem === null) shut(draft.code.trim());
    else made?.refused(problem, current);
  }

  /** @param {CannedAnswerDraft} draft */
  const cancel = (draft) => leave(() => shut(draft.code));

  const changed = () => form !== null && canned.changed();
  /** @param {() => void} go */
  const leave = (go) => askBefore(t, canned, go);

  /** @param {string} code */
  function shut(code) {
    canned.keep(null);
    form = null;
    place.replaceChildren();
    draw();
    const row = [...rows.children].find((node) => node.querySelector("h3")?.textContent?.startsWith(`/${code} `));
    (row?.querySelector("button") ?? add).focus();
  }

  /** @param {CannedAnswer} one */
  function askRemoval(one) {
    confirm(t, {
      title: t("answers.remove_title"),
      body: t("answers.remove_body", { code: `/${one.code}`, title: one.title }),
      yes: t("answers.remove"),
      onYes: () => remove(one),
    });
  }

  /** @param {CannedAnswer} one */
  async function remove(one) {
    const { problem, current } = await canned.remove(one);
    if (problem === null) say(t("answers.said_removed"));
    else
      say(
        problem === "changed" && current ? t("answers.not_removed", { name: current.changed_by.name }) : t("answers.failed_save"),
        "loud",
      );
    if (frame.element.isConnected && document.activeElement === document.body) frame.focus();
  }

  const kept = canned.draft();
  if (kept) open(kept);
  const focus = () => (form ? form.focus() : frame.focus());
  return { element: frame.element, focus, draw, changed, leave, stop: () => (form = null) };
}

/**
 * Asks first where an answer is being written that is not stored.
 *
 * @param {Translator} t
 * @param {Pick<ReturnType<typeof import("./canned-answers.js").cannedAnswers>, "changed">} canned
 * @param {() => void} go
 */
export function askBefore(t, canned, go) {
  if (!canned.changed()) return go();
  confirm(t, { title: t("answers.discard"), body: t("answers.discard_body"), yes: t("answers.discard_yes"), onYes: go });
}

/** @param {Translator} t @param {CannedAnswer} one */
const changedWords = (t, one) => t("answers.changed", { name: one.changed_by.name, time: clock(one.changed_at, t.language, new Date()) });

/**
 * The form of one answer: `{element, draw(), focus(), refused(problem, current)}`. `draft` follows what is written. `onTake(draft)` goes on with
 * another draft.
 *
 * @param {Translator} t
 * @param {{draft: CannedAnswerDraft, own: string[], names(): Map<string, string>, onSave(): Promise<unknown>, onCancel(): void, onTake(draft: CannedAnswerDraft): void}} options
 */
function answerForm(t, { draft, own, names, onSave, onCancel, onTake }) {
  const heading = h("h3", { tabindex: "-1" });
  const alert = h("p", { class: "alert", role: "alert" });
  const conflict = h("div", { hook: "answer-conflict" });
  /** @type {Record<string, {box: HTMLElement, problem: HTMLElement, control: HTMLElement}>} */
  const fields = {};
  const code = field(
    "code",
    h("input", { type: "text", maxlength: "30", autocapitalize: "none", spellcheck: "false" }),
    draft.code,
    (value) => {
      draft.code = value;
    },
  );
  const title = field("title", h("input", { type: "text", maxlength: "100" }), draft.title, (value) => {
    draft.title = value;
  });
  const boxes = own.map((id) => {
    const box = h("input", {
      type: "checkbox",
      checked: draft.departments.includes(id),
      onchange: choose,
      hook: `answer-department-${id}`,
    });
    const words = h("span", {}, id);
    return { id, box, words, label: h("label", { class: "switch" }, box, words) };
  });
  const departments = group("departments", ...boxes.map((one) => one.label));
  departments.hidden = own.length < 2;
  const texts = LANGUAGES.map((language) =>
    field(`texts.${language}`, h("textarea", { rows: "3", lang: language, dir: "auto" }), draft.texts[language] ?? "", (value) => {
      draft.texts = { ...draft.texts, [language]: value };
    }),
  );
  const writing = group("texts", ...texts);
  const save = button(t("answers.save"), { type: "submit", class: "main", hook: "answer-save" });
  const element = h(
    "form",
    { class: "answer-form", novalidate: true, onsubmit: submit },
    heading,
    conflict,
    code,
    title,
    departments,
    writing,
    alert,
    h("div", { class: "row" }, button(t("dialog.cancel"), { hook: "answer-cancel", onclick: onCancel }), save),
  );
  let busy = false;
  drawConflict();

  /** @param {string} name @param {HTMLInputElement | HTMLTextAreaElement} control @param {string} value @param {(value: string) => void} onChange */
  function field(name, control, value, onChange) {
    const id = `answer-${name.replace(".", "-")}`;
    const language = name.split(".")[1];
    const problem = h("p", { class: "problem-of", id: `${id}-problem` });
    const hint = name === "code" && h("small", { id: `${id}-hint` }, t("answers.code_hint"));
    control.id = id;
    control.value = value;
    control.addEventListener("input", () => onChange(control.value));
    setAttribute(control, "data-testid", id);
    setAttribute(control, "aria-describedby", [hint && hint.id, problem.id].filter(Boolean).join(" "));
    const label = h("label", { for: id }, language ? t(`locale.${language}`) : t(`answers.${name}`));
    fields[name] = { box: control, problem, control };
    return h("div", { class: "field" }, label, hint, control, problem);
  }

  /** @param {string} name @param {...HTMLElement} inside */
  function group(name, ...inside) {
    const problem = h("p", { class: "problem-of", id: `answer-${name}-problem` });
    const hint =
      name === "texts" && h("p", { class: "hint" }, t("answers.texts_hint", { names: VARIABLES.map((one) => `{{${one}}}`).join(", ") }));
    const box = h(
      "fieldset",
      { "aria-describedby": problem.id },
      h("legend", {}, t(`answers.${name}`)),
      hint,
      h("div", { class: name }, ...inside),
      problem,
    );
    fields[name] = { box, problem, control: /** @type {HTMLElement} */ (box.querySelector("input, textarea")) };
    return box;
  }

  function choose() {
    draft.departments = boxes.filter(({ box }) => box.checked).map(({ id }) => id);
  }

  /** @param {Record<string, string>} faults the words for each field */
  function tell(faults) {
    for (const [name, { box, problem }] of Object.entries(fields)) {
      setText(problem, faults[name] ?? "");
      if (box.tagName !== "FIELDSET") setAttribute(box, "aria-invalid", faults[name] ? "true" : null);
    }
    const first = Object.keys(fields).find((name) => faults[name]);
    if (first) fields[first].control.focus();
    return !first;
  }

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    setText(alert, "");
    const faults = Object.entries(faultsOf(draft)).map(([name, fault]) => [name, t(`answers.${fault}`)]);
    if (!tell(Object.fromEntries(faults))) return;
    busy = true;
    setAttribute(save, "aria-disabled", "true");
    await onSave();
    busy = false;
    setAttribute(save, "aria-disabled", null);
  }

  /** @param {string} problem @param {CannedAnswer | null} current */
  function refused(problem, current) {
    if (problem === "code_taken") return void tell({ code: t("answers.code_taken", { title: current?.title ?? "" }) });
    drawConflict();
    if (draft.conflict) return /** @type {HTMLElement | null} */ (conflict.querySelector("h4"))?.focus();
    setText(alert, t(FAILED.includes(problem) ? `answers.${problem}` : "answers.failed_save"));
  }

  function drawConflict() {
    const current = draft.conflict;
    if (!current) return conflict.replaceChildren();
    /** @param {string} term @param {string} words @param {string} [lang] */
    const row = (term, words, lang) => h("div", {}, h("dt", {}, term), h("dd", { lang, dir: "auto" }, words));
    conflict.replaceChildren(
      h(
        "div",
        { class: "alert", role: "group", "aria-labelledby": "answer-conflict-title" },
        h("h4", { id: "answer-conflict-title", tabindex: "-1" }, t("answers.conflict", { name: current.changed_by.name })),
        h("p", {}, t("answers.conflict_body")),
        h(
          "dl",
          {},
          row(t("answers.code"), current.code),
          row(t("answers.title"), current.title),
          row(t("answers.departments"), current.departments.map((id) => names().get(id) ?? id).join(", ")),
          ...LANGUAGES.filter((one) => current.texts[one]).map((one) => row(t(`locale.${one}`), current.texts[one], one)),
        ),
        h(
          "div",
          { class: "row" },
          button(t("answers.take_theirs"), { hook: "answer-take-theirs", onclick: () => onTake(draftOf(current, own)) }),
          button(t("answers.keep_mine"), { class: "main", hook: "answer-keep-mine", onclick: () => keepMine(current) }),
        ),
      ),
    );
  }

  /** @param {CannedAnswer} current */
  function keepMine(current) {
    [draft.revision, draft.conflict] = [current.revision, null];
    drawConflict();
    heading.focus();
    element.requestSubmit();
  }

  return {
    element,
    focus: () => heading.focus(),
    refused,
    draw() {
      setText(heading, t(draft.id ? "answers.edit_title" : "answers.add_title"));
      for (const { id, words } of boxes) setText(words, names().get(id) ?? id);
    },
  };
}
