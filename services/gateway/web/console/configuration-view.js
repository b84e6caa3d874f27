/** The departments, for administrators: a form for each, all of them as a text, and the versions that were stored. */
import { configurationExport } from "./api.js";
import {
  ACCEPTS,
  BUSY,
  differs,
  faultsOf,
  faultWords,
  fieldsOf,
  formOf,
  KINDS,
  LIMITS,
  MOST_TEXT,
  requests,
  STARTS,
} from "./configuration.js";
import { previewOf } from "./configuration-preview.js";
import { confirm } from "./dialogs.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";
import { moment } from "./format.js";
import { LANGUAGES } from "./i18n.js";
import { overview } from "./side-page.js";

/** @typedef {import("./configuration.js").Configuration} Configuration */
/** @typedef {import("./configuration.js").DepartmentForm} DepartmentForm */
/** @typedef {import("./configuration.js").Fields} Fields */
/** @typedef {import("./configuration.js").Version} Version */
/** @typedef {import("./configuration.js").Outcome} Outcome */
/** @typedef {{element: HTMLElement, focus(): void, changed?(): boolean}} Part */

/**
 * `{element, draw(), focus(), changed(), leave(go), stop()}`; `say` speaks, `isOpen()` tells whether this person is still logged in here. What is
 * shown stays until the administrator leaves it; `leave` asks first where something was changed.
 *
 * @param {Translator} t
 * @param {{say(words: string, how?: string): void, isOpen(): boolean}} options
 */
export function configurationView(t, { say, isOpen }) {
  const frame = overview(t, { title: t("config"), lead: t("config.lead"), acts: { back: null, refresh } });
  const place = h("div", { class: "config" });
  frame.body.append(place);
  /** @type {Configuration | null} */
  let newest = null;
  /** @type {Part | null} */
  let part = null;
  let stopped = false;
  let [asked, taken] = [0, 0]; // count the questions; the last one whose answer was taken
  const changed = () => part?.changed?.() ?? false;

  // An answer that was overtaken by that of a later question is an older version.
  async function load() {
    const mine = ++asked;
    const { problem, body } = await requests.load();
    if (stopped) return false;
    if (mine < taken) return true;
    frame.tell(problem ? t("overview.failed") : "");
    if (problem) return false;
    taken = mine;
    newest = body;
    frame.asOf(new Date());
    return true;
  }

  function refresh() {
    leave(() => {
      list();
      start();
    });
  }

  // What was opened meanwhile stays.
  async function start() {
    const before = part;
    if ((await load()) && part === before) list();
  }

  /** @param {Part} made */
  function show(made) {
    part = made;
    place.replaceChildren(made.element);
    made.focus();
  }

  /** @param {() => void} go */
  function leave(go) {
    if (!changed()) return go();
    confirm(t, { title: t("config.discard"), body: t("config.discard_body"), yes: t("config.discard_yes"), onYes: go });
  }

  /** @param {string} [focus] the hook of what gets the focus; where that is not there, the heading */
  function list(focus = "") {
    if (!newest) return;
    const at = /** @type {HTMLElement | null} */ (document.activeElement);
    const wanted = focus || (!part && place.contains(at) && at?.dataset.testid);
    if (newest.source === "file") {
      part = null;
      return place.replaceChildren(h("p", { hook: "config-in-file" }, t("config.in_file")));
    }
    const stored = newest;
    const rows = stored.departments.map((one) =>
      h(
        "li",
        { class: "question", hook: "config-department" },
        h("h3", {}, one.names[t.language]),
        h(
          "p",
          { class: "facts" },
          h("span", {}, one.hours ?? t("config.hours_of_all")),
          h("span", {}, t("config.contacts_number", { n: one.contacts.length })),
        ),
        h(
          "div",
          { class: "row" },
          button(t("config.edit"), {
            hook: `config-edit-${one.id}`,
            "aria-label": t("config.edit_of", { name: one.names[t.language] }),
            onclick: () => edit(one),
          }),
        ),
      ),
    );
    part = null;
    place.replaceChildren(
      h("p", { class: "as-of", hook: "config-version" }, versionWords(t, stored)),
      h(
        "div",
        { class: "row config-acts" },
        button(t("config.as_text"), { hook: "config-text", onclick: () => text(stored) }),
        button(t("config.versions"), { hook: "config-versions", onclick: () => versions() }),
        h("a", { class: "button", href: configurationExport, download: "", hook: "config-export" }, t("config.export")),
      ),
      h("ul", { class: "questions" }, ...rows),
    );
    if (wanted) /** @type {HTMLElement} */ (place.querySelector(`[data-testid="${wanted}"]`) ?? frame).focus();
  }

  /** @param {DepartmentForm} department */
  function edit(department) {
    const { version } = /** @type {Configuration} */ (newest);
    const made = departmentForm(t, {
      department,
      version,
      onCancel: () => leave(() => list(`config-edit-${department.id}`)),
      onDone: (stored) => done(made, stored, `config-edit-${department.id}`),
      onNewest: () => takeNewest(made, department.id),
      onElsewhere,
    });
    show(made);
  }

  /**
   * The newest version in the form of this department; null: as a text. What was opened meanwhile stays.
   *
   * @param {Part} mine
   * @param {string | null} id
   */
  async function takeNewest(mine, id) {
    if (!(await load()) || !newest || part !== mine) return;
    if (id === null) return text(newest);
    const found = newest.departments.find((one) => one.id === id);
    if (found) edit(found);
    else list("config-text");
  }

  /** @param {Configuration} stored */
  function text(stored) {
    const made = textForm(t, {
      stored,
      onCancel: () => leave(() => list("config-text")),
      onDone: (version) => done(made, version, "config-text"),
      onNewest: () => takeNewest(made, null),
      onElsewhere,
    });
    show(made);
  }

  /**
   * Shows the departments as they are then, with the focus there. A person who has gone on meanwhile stays where they are; so does one who has
   * changed more in the form.
   *
   * @param {Part} mine
   * @param {Version} made
   * @param {string} focus
   */
  async function done(mine, made, focus) {
    const isHere = () => !stopped && part === mine;
    if (isOpen()) say(t("config.said_stored", { n: made.version }), isHere() ? "announce" : "loud");
    await load();
    if (isHere() && changed()) say(t("config.not_yet"), "loud");
    else if (isHere()) list(focus);
    else if (!stopped && !part) list();
  }

  /** A refusal whose form is not there any more. @param {string} words */
  const onElsewhere = (words) => isOpen() && say(words, "loud");

  function versions() {
    const { version } = /** @type {Configuration} */ (newest);
    const made = versionList(t, {
      newest: version,
      onBack: () => list("config-versions"),
      onDone: (stored) => done(made, stored, "config-versions"),
      onElsewhere,
    });
    show(made);
  }

  start();
  return {
    element: frame.element,
    focus: () => (part ? part.focus() : frame.focus()),
    draw() {},
    changed,
    leave,
    stop: () => void (stopped = true),
  };
}

/** @param {Translator} t @param {Version} one */
const versionWords = (t, one) => t("config.version", { n: one.version, name: authorOf(t, one), time: moment(one.at, t.language) });

/** @param {Translator} t @param {Version} one */
const authorOf = (t, one) => (one.act === "begun" ? t("access.role.operator") : one.by.name);

/**
 * What is said of a refusal: `{element, tell(outcome)}`. `onNewest()`: the administrator wants the newest version; `onElsewhere(words)`: they are
 * not here any more; `inForm`: the fields have the names of a form.
 *
 * @param {Translator} t
 * @param {{onNewest(): void, onElsewhere(words: string): void, inForm?: boolean}} options
 */
function refusal(t, { onNewest, onElsewhere, inForm }) {
  const element = h("div", { role: "alert", class: "config-refusal", hook: "config-refusal" });
  return {
    element,
    /** @param {Pick<Outcome, "problem" | "detail" | "fault" | "name">} outcome */
    tell({ problem, detail, fault, name }) {
      if (!problem) return element.replaceChildren();
      const said = problem === "no_answer" ? t("no_answer") : t(`config.problem.${problem}`, { name });
      if (!element.isConnected) return onElsewhere(said);
      const why = faultWords(t, fault, inForm);
      const more = problem === "refused" && h("span", { lang: why ? null : "en", class: "detail", hook: "config-detail" }, why || detail);
      const words = h("p", { class: "alert" }, said, more);
      if (problem !== "changed") return element.replaceChildren(words);
      element.replaceChildren(words, button(t("config.take_newest"), { hook: "config-newest", onclick: onNewest }));
    },
  };
}

/**
 * The buttons below a form: `{element, run(work)}`. While `work` runs nothing else begins.
 *
 * @param {Translator} t
 * @param {{onCancel(): void, onCheck(): void}} options
 */
function formActs(t, { onCancel, onCheck }) {
  const save = button(t("config.save"), { type: "submit", class: "main", hook: "config-save" });
  const check = button(t("config.check"), { hook: "config-check", onclick: onCheck });
  let busy = false;
  return {
    element: h("div", { class: "row" }, button(t("dialog.cancel"), { hook: "config-cancel", onclick: onCancel }), check, save),
    /** @param {() => Promise<void>} work */
    async run(work) {
      if (busy) return;
      busy = true;
      for (const one of [save, check]) setAttribute(one, "aria-disabled", "true");
      try {
        await work();
      } finally {
        busy = false;
        for (const one of [save, check]) setAttribute(one, "aria-disabled", null);
      }
    },
  };
}

/**
 * Stores what is wanted, and says what is wrong with it.
 *
 * @param {object} wanted
 * @param {{tell(outcome: Outcome): void, onDone(made: Version): void}} options
 */
async function store(wanted, { tell, onDone }) {
  const outcome = await requests.store(wanted);
  tell(outcome);
  if (outcome.body) onDone(outcome.body);
}

/**
 * A form with what is said of a refusal, its buttons, and what would be after it.
 *
 * @param {{look: string, said: {element: HTMLElement}, acts: ReturnType<typeof formActs>, preview: ReturnType<typeof previewOf>, onSubmit(): Promise<void>}} options
 * @param {...HTMLElement} parts
 */
function formWith({ look, said, acts, preview, onSubmit }, ...parts) {
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    acts.run(onSubmit);
  };
  const form = h("form", { class: look, novalidate: true, oninput: preview.hide, onsubmit: submit }, ...parts, said.element, acts.element);
  return h("div", { class: "config" }, form, preview.element);
}

/**
 * The form of one department.
 *
 * @param {Translator} t
 * @param {{department: DepartmentForm, version: number, onCancel(): void, onDone(made: Version): void, onNewest(): void, onElsewhere(words: string): void}} options
 * @returns {Part}
 */
function departmentForm(t, { department, version, onCancel, onDone, onNewest, onElsewhere }) {
  const fields = fieldsOf(department);
  let stored = fieldsOf(department);
  let base = version; // that the form changes
  const heading = h("h3", { tabindex: "-1" }, t("config.edit_of", { name: department.names[t.language] }));
  const said = refusal(t, { onNewest, onElsewhere, inForm: true });
  const preview = previewOf(t, {
    department: department.id,
    check: (year) => requests.check(wanted(), department.id, year),
    tell: said.tell,
  });
  const acts = formActs(t, { onCancel, onCheck: () => acts.run(check) });
  /** @type {Record<string, {problem: HTMLElement, control: HTMLElement}>} */
  const controls = {};

  /** @param {string} name @param {string} label @param {HTMLElement} control @param {{hint?: string}} [more] */
  function field(name, label, control, { hint } = {}) {
    const id = `config-${name.replaceAll(".", "-")}`;
    const problem = h("p", { class: "problem-of", id: `${id}-problem` });
    const help = hint && h("small", { id: `${id}-hint` }, hint);
    control.id = id;
    setAttribute(control, "data-testid", id);
    setAttribute(control, "aria-describedby", [help && help.id, problem.id].filter(Boolean).join(" "));
    controls[name] = { problem, control };
    return h("div", { class: "field" }, h("label", { for: id }, label), help, control, problem);
  }

  /** @param {Record<string, string>} texts @param {string} name @param {(one: string) => string} label */
  function inLanguages(texts, name, label) {
    const controls = LANGUAGES.map((one) => {
      const control = h("input", { type: "text", maxlength: "200", lang: one, dir: "auto", value: texts[one] });
      control.addEventListener("input", () => (texts[one] = control.value));
      return field(`${name}.${one}`, label(one), control);
    });
    return h("div", { class: "config-languages" }, ...controls);
  }

  /** @param {"hours" | "closed" | "day_hours" | "longest" | "patience" | "answer_within" | "wrap_up" | "origins"} name @param {{rows?: string, numeric?: boolean, optional?: boolean}} [looks] */
  function written(name, { rows, numeric } = {}) {
    const value = fields[name] ?? "";
    const control = rows
      ? h("textarea", { rows, spellcheck: "false", autocapitalize: "none" }, value)
      : h("input", { type: "text", autocomplete: "off", spellcheck: "false", inputmode: numeric ? "numeric" : null, value });
    control.addEventListener("input", () => (fields[name] = control.value));
    return field(name, t(`config.${name}`), control, { hint: t(`config.${name}_hint`) });
  }

  /** @param {"start" | "accept" | "busy"} name @param {string[]} choices */
  function chosen(name, choices) {
    const control = h(
      "select",
      { onchange: () => (fields[name] = control.value) },
      ...choices.map((one) => h("option", { value: one, selected: fields[name] === one }, t(`config.${name}.${one}`))),
    );
    return field(name, t(`config.${name}`), control);
  }

  const contacts = h("div", { class: "config-contacts" });
  const more = button(t("config.contact_add"), { hook: "config-contact-add", onclick: addContact });

  function addContact() {
    fields.contacts.push({ kind: "phone", value: "", note: Object.fromEntries(LANGUAGES.map((one) => [one, ""])) });
    drawContacts();
    document.getElementById(`config-contacts-${fields.contacts.length - 1}-kind`)?.focus();
  }

  function drawContacts() {
    for (const name of Object.keys(controls)) if (name.startsWith("contacts.")) delete controls[name];
    contacts.replaceChildren(...fields.contacts.map(contactBox));
  }

  /** @param {Fields["contacts"][number]} contact @param {number} n */
  function contactBox(contact, n) {
    const kind = h(
      "select",
      { onchange: () => (contact.kind = kind.value) },
      ...KINDS.map((one) => h("option", { value: one, selected: contact.kind === one }, t(`config.kind.${one}`))),
    );
    const value = h("input", { type: "text", maxlength: "500", autocomplete: "off", value: contact.value });
    value.addEventListener("input", () => (contact.value = value.value));
    const notes = inLanguages(contact.note, `contacts.${n}.note`, (one) => {
      const language = t(`locale.${one}`);
      return `${t("config.note")} (${language})`;
    });
    const filled = Object.values(contact.note).some(Boolean);
    return h(
      "fieldset",
      {},
      h("legend", {}, t("config.contact", { n: n + 1 })),
      field(`contacts.${n}.kind`, t("config.kind"), kind),
      field(`contacts.${n}`, t("config.value"), value),
      h("details", { open: filled }, h("summary", {}, t("config.note")), notes),
      button(t("config.contact_remove", { n: n + 1 }), {
        hook: `config-contact-remove-${n}`,
        onclick: () => {
          fields.contacts.splice(n, 1);
          drawContacts();
          more.focus();
        },
      }),
    );
  }

  const questions = h("input", {
    type: "checkbox",
    checked: fields.questions,
    hook: "config-questions",
    onchange: () => (fields.questions = questions.checked),
  });
  drawContacts();
  const element = formWith(
    { look: "answer-form", said, acts, preview, onSubmit: save },
    heading,
    h(
      "fieldset",
      {},
      h("legend", {}, t("config.names")),
      inLanguages(fields.names, "names", (one) => t(`locale.${one}`)),
    ),
    h(
      "fieldset",
      {},
      h("legend", {}, t("config.opening")),
      written("hours"),
      written("closed", { rows: "4" }),
      written("day_hours", { rows: "3" }),
    ),
    h("fieldset", {}, h("legend", {}, t("config.contacts")), contacts, more),
    h(
      "fieldset",
      {},
      h("legend", {}, t("config.rules")),
      chosen("start", STARTS),
      chosen("accept", ACCEPTS),
      chosen("busy", BUSY),
      written("longest", { numeric: true }),
      written("patience", { numeric: true }),
      written("wrap_up", { numeric: true }),
      h("label", { class: "switch" }, questions, h("span", {}, t("config.questions"))),
      written("answer_within", { numeric: true }),
      fields.origins !== null && written("origins", { rows: "3" }),
    ),
  );

  const wanted = () => ({ version: base, department: department.id, form: formOf(fields) });

  function valid() {
    const faults = faultsOf(fields);
    for (const [name, { problem, control }] of Object.entries(controls)) {
      setText(problem, faults[name] ? t(`config.${faults[name]}`, LIMITS[/** @type {keyof typeof LIMITS} */ (name)]) : "");
      setAttribute(control, "aria-invalid", faults[name] ? "true" : null);
    }
    const first = /** @type {HTMLElement | null} */ (element.querySelector("[aria-invalid]"));
    const folded = first?.closest("details");
    if (folded) folded.open = true;
    first?.focus();
    return !first;
  }

  async function check() {
    if (valid()) await preview.show();
  }

  async function save() {
    if (!valid()) return;
    const sent = structuredClone(fields);
    await store(wanted(), { tell: said.tell, onDone: (made) => (([stored, base] = [sent, made.version]), onDone(made)) });
  }

  return { element, focus: () => heading.focus(), changed: () => differs(fields, stored) };
}

/**
 * All departments as a text, which can be taken from a file.
 *
 * @param {Translator} t
 * @param {{stored: Configuration, onCancel(): void, onDone(made: Version): void, onNewest(): void, onElsewhere(words: string): void}} options
 * @returns {Part}
 */
function textForm(t, { stored, onCancel, onDone, onNewest, onElsewhere }) {
  const heading = h("h3", { tabindex: "-1" }, t("config.as_text"));
  const said = refusal(t, { onNewest, onElsewhere });
  const area = h("textarea", {
    id: "config-area",
    rows: "24",
    spellcheck: "false",
    autocapitalize: "none",
    dir: "ltr",
    hook: "config-area",
  });
  area.value = stored.text;
  let { text, version } = stored; // what is stored, as far as this page knows
  const file = h("input", { type: "file", id: "config-file", accept: ".toml", hook: "config-file", onchange: take });
  const wanted = () => ({ version, text: area.value });
  const preview = previewOf(t, { department: null, check: (year, of) => requests.check(wanted(), of, year), tell: said.tell });
  const acts = formActs(t, { onCancel, onCheck: () => acts.run(preview.show) });

  async function take() {
    const chosen = file.files?.[0];
    if (!chosen) return;
    file.value = "";
    if (chosen.size > MOST_TEXT) return said.tell({ problem: "too_large", detail: "", fault: null, name: "" });
    area.value = await chosen.text();
    area.focus();
  }

  async function save() {
    const sent = area.value;
    await store(wanted(), { tell: said.tell, onDone: (made) => (([text, version] = [sent, made.version]), onDone(made)) });
  }

  const element = formWith(
    { look: "answer-form config-whole", said, acts, preview, onSubmit: save },
    heading,
    h("p", {}, t("config.text_lead")),
    h("div", { class: "field" }, h("label", { for: "config-file" }, t("config.from_file")), file),
    h("div", { class: "field" }, h("label", { for: "config-area" }, t("config.text")), area),
  );
  return { element, focus: () => heading.focus(), changed: () => area.value !== text };
}

/**
 * The versions, the newest first; each with what it changed, and how it comes back.
 *
 * @param {Translator} t
 * @param {{newest: number, onBack(): void, onDone(made: Version): void, onElsewhere(words: string): void}} options
 * @returns {Part}
 */
function versionList(t, { newest, onBack, onDone, onElsewhere }) {
  const heading = h("h3", { tabindex: "-1" }, t("config.versions"));
  const rows = h("ul", { class: "questions", hook: "config-version-list" });
  const said = refusal(t, { onNewest: onBack, onElsewhere });
  let restoring = false;
  const older = button(t("config.older"), { hook: "config-older", hidden: true, onclick: () => asked || load() });
  /** @type {number | null} */
  let before = null;
  let asked = false;

  // After a failure the button is there too: the same is asked again.
  async function load() {
    asked = true;
    const outcome = await requests.versions(before);
    asked = false;
    said.tell(outcome);
    const { versions = [], more = true } = outcome.body ?? {};
    const [first, ...others] = versions.map(row);
    if (first) rows.append(first, ...others);
    if (first && before) first.querySelector("h4")?.focus();
    before = versions.at(-1)?.version ?? before;
    older.hidden = !more;
  }

  /** @param {Version} one */
  function row(one) {
    const place = h("div", {});
    const name = t("config.number", { n: one.version });
    const look = button(t("config.look"), {
      hook: `config-look-${one.version}`,
      "aria-label": `${t("config.look")}: ${name}`,
      "aria-expanded": "false",
      onclick: async () => {
        const isOpen = () => look.getAttribute("aria-expanded") === "true";
        setAttribute(look, "aria-expanded", String(!isOpen()));
        const shown = isOpen() ? await detail(one.version) : [];
        // closed meanwhile, or nothing came
        if (!isOpen()) return place.replaceChildren();
        setAttribute(look, "aria-expanded", String(shown.length > 0));
        place.replaceChildren(...shown);
      },
    });
    return h(
      "li",
      { class: "question" },
      h("h4", { tabindex: "-1" }, name),
      h(
        "p",
        { class: "facts" },
        h("span", {}, moment(one.at, t.language)),
        h("span", {}, authorOf(t, one)),
        h("span", {}, t(`config.act.${one.act}`, { about: one.about ?? "" })),
      ),
      h(
        "div",
        { class: "row" },
        look,
        one.version !== newest &&
          button(t("config.restore"), {
            hook: `config-restore-${one.version}`,
            "aria-label": `${t("config.restore")}: ${name}`,
            onclick: () =>
              restoring ||
              confirm(t, {
                title: t("config.restore_title", { n: one.version }),
                body: t("config.restore_body"),
                yes: t("config.restore"),
                onYes: () => restore(one.version),
              }),
          }),
      ),
      place,
    );
  }

  /** @param {number} version */
  async function detail(version) {
    const outcome = await requests.version(version);
    said.tell(outcome);
    if (!outcome.body) return [];
    const { changes } = outcome.body;
    if (!changes) return [h("p", {}, t("config.no_changes_known"))];
    /** @param {{mark: string, text: string}} line */
    const line = ({ mark, text }) =>
      h(
        "li",
        { class: { "+": "added", "-": "removed" }[mark] ?? "" },
        h("span", { class: "hidden-words" }, mark === " " ? "" : t(mark === "+" ? "config.added" : "config.removed")),
        h("span", { "aria-hidden": "true" }, mark),
        h("code", {}, text),
      );
    return [h("ul", { class: "config-changes", hook: "config-changes" }, ...changes.map(line))];
  }

  /** @param {number} version */
  async function restore(version) {
    restoring = true;
    await store({ version: newest, restore: version }, { tell: said.tell, onDone });
    restoring = false;
  }

  load();
  const element = h(
    "div",
    { class: "config-versions" },
    heading,
    h("div", { class: "row config-acts" }, button(t("config.back"), { symbol: "back", hook: "config-back", onclick: onBack })),
    said.element,
    rows,
    older,
  );
  return { element, focus: () => heading.focus() };
}
