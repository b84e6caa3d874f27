/** The staff, for administrators: a table of accounts, a form for each, what was changed, and passwords that are shown once. */
import { h, setAttribute, setText } from "../shared/dom.js";
import { confirm, show as showDialog } from "./dialogs.js";
import { button, copied } from "./dom.js";
import { moment } from "./format.js";
import { known, LANGUAGES } from "./i18n.js";
import { overview } from "./side-page.js";
import { changesOf, differs, faultsOf, fieldsOf, formOf, isOfficer, requests, ROLES, secretOf } from "./staff.js";

/** @typedef {import("./staff.js").Staff} Staff */
/** @typedef {import("./staff.js").StaffEntry} StaffEntry */
/** @typedef {import("./staff.js").StaffOutcome} StaffOutcome */
/** @typedef {{id: string, names: Record<string, string>}} Department */
/** @typedef {{element: HTMLElement, focus(): void, changed?(): boolean}} Part */

const COLUMNS = ["name", "username", "role", "departments", "state", "acts"];

/**
 * `{element, draw(), focus(), leave(go), stop()}`; `say` speaks. What is shown stays until the administrator leaves it.
 *
 * @param {Translator} t
 * @param {{say(words: string, how?: string): void}} options
 */
export function staffView(t, { say }) {
  const frame = overview(t, { title: t("staff"), lead: t("staff.lead"), acts: { back: null, refresh: () => leave(() => list()) } });
  const place = h("div", { class: "config" });
  frame.body.append(place);
  /** @type {Part | null} */
  let part = null;
  let stopped = false;
  let text = "";
  /** @type {Department[]} */
  let departments = [];

  /** @param {Part} made */
  function show(made) {
    part = made;
    place.replaceChildren(made.element);
    made.focus();
  }

  /** @param {() => void} go */
  function leave(go) {
    if (!part?.changed?.()) return go();
    confirm(t, { title: t("config.discard"), body: t("config.discard_body"), yes: t("config.discard_yes"), onYes: go });
  }

  /** @param {string} [focus] the hook of what gets the focus */
  async function list(focus = "") {
    const outcome = await requests.search(text, "");
    if (stopped) return;
    frame.tell(outcome.problem ? t("overview.failed") : "");
    if (outcome.problem) return;
    frame.asOf(new Date());
    part = null;
    if (outcome.body.source === "file") return place.replaceChildren(h("p", { hook: "staff-in-file" }, t("staff.in_file")));
    ({ departments } = outcome.body);
    place.replaceChildren(searchForm(), table(outcome.body));
    /** @type {HTMLElement | null} */ (focus ? place.querySelector(`[data-testid="${focus}"]`) : null)?.focus();
  }

  function searchForm() {
    const field = h("input", {
      type: "search",
      id: "staff-search",
      maxlength: "100",
      value: text,
      autocomplete: "off",
      hook: "staff-search",
    });
    return h(
      "form",
      {
        class: "row config-acts staff-search",
        role: "search",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          text = field.value.trim();
          list("staff-search");
        },
      },
      h("label", { for: "staff-search" }, t("staff.search")),
      field,
      button(t("staff.find"), { type: "submit", hook: "staff-find" }),
      button(t("staff.add"), { class: "main", hook: "staff-add", onclick: () => edit(null) }),
    );
  }

  /** @param {{accounts: Staff[], more: boolean}} found */
  function table({ accounts, more }) {
    const rows = h("tbody", { role: "rowgroup" }, ...accounts.map(row));
    const next = button(t("staff.more"), { hook: "staff-more", hidden: !more, onclick: append });
    let last = accounts.at(-1)?.username ?? "";

    async function append() {
      const { body, problem } = await requests.search(text, last);
      if (problem) return frame.tell(t("overview.failed"));
      const added = body.accounts.map(row);
      rows.append(...added);
      last = body.accounts.at(-1)?.username ?? last;
      next.hidden = !body.more;
      added[0]?.querySelector("button")?.focus();
    }

    if (!accounts.length) return h("p", { class: "none", role: "status", hook: "staff-none" }, t("staff.none"));
    const head = h(
      "tr",
      { role: "row" },
      ...COLUMNS.map((one) => h("th", { role: "columnheader", scope: "col" }, t(`staff.column.${one}`))),
    );
    // Narrow pages show the rows as blocks, and then only the roles say that it is a table.
    const made = h(
      "table",
      { role: "table", class: "assignments", "aria-labelledby": "overview-title", hook: "staff-table" },
      h("thead", { role: "rowgroup" }, head),
      rows,
    );
    return h("div", { class: "config" }, made, h("div", { class: "row config-acts" }, next));
  }

  /** @param {Staff} one */
  function row(one) {
    const states = [one.disabled && "disabled", one.totp && "totp", one.break_glass && "break_glass"].filter(Boolean);
    /** @type {Record<string, (Node | string)[]>} */
    const cells = {
      name: [h("bdi", {}, one.name)],
      username: [h("bdi", {}, one.username)],
      role: [t(`staff.role.${one.role}`)],
      departments: [one.departments.map((id) => departmentName(t, departments, id)).join(", ")],
      state: [states.length ? states.map((state) => t(`staff.state.${state}`)).join(", ") : t("staff.state.active")],
      acts: [
        button(t("config.edit"), {
          hook: `staff-edit-${one.username}`,
          "aria-label": t("config.edit_of", { name: one.name }),
          onclick: () => edit(one),
        }),
      ],
    };
    return h(
      "tr",
      { role: "row", hook: "staff-row" },
      ...COLUMNS.map((name) =>
        h(
          "td",
          { role: "cell" },
          h("span", { class: "label", "aria-hidden": "true" }, t(`staff.column.${name}`)),
          h("span", {}, ...cells[name]),
        ),
      ),
    );
  }

  /** @param {Staff | null} one */
  function edit(one) {
    show(
      staffForm(t, {
        one,
        departments,
        onCancel: () => leave(() => list(one ? `staff-edit-${one.username}` : "staff-add")),
        onDone: done,
        onNewest: newest,
        onHistory: () => leave(() => one && history(one.username)),
      }),
    );
  }

  /**
   * The account as it is now, in the form.
   *
   * @param {string} username
   */
  async function newest(username) {
    const { body } = await requests.search(username, "");
    const found = body?.accounts.find((/** @type {Staff} */ one) => one.username === username);
    if (found) edit(found);
    else list();
  }

  /**
   * Shows what was made, once, then the table; after a removal the history, where it can be undone.
   *
   * @param {string} username
   * @param {{account: Staff | null, password: string | null, totp: string | null}} made
   */
  function done(username, { account, password, totp }) {
    const go = () => (account ? list(`staff-edit-${username}`) : history(username));
    say(t(account ? "staff.said_stored" : "staff.said_removed"));
    part = null;
    if (password) showOnce(t, { what: "password", value: password, hint: t("staff.password_once", { name: username }), onClose: go });
    else if (totp) showOnce(t, { what: "totp", value: secretOf(totp), hint: t("staff.totp_once", { name: username }), onClose: go });
    else go();
  }

  /** @param {string} username */
  function history(username) {
    show(historyList(t, { username, departments, onBack: () => list(`staff-edit-${username}`), onDone: (made) => done(username, made) }));
  }

  list();
  return {
    element: frame.element,
    focus: () => (part ? part.focus() : frame.focus()),
    draw() {},
    leave,
    stop: () => void (stopped = true),
  };
}

/** @param {Translator} t @param {Department[]} departments @param {string} id */
const departmentName = (t, departments, id) => departments.find((one) => one.id === id)?.names[t.language] ?? id;

/**
 * A password or a secret in a window, to be copied; it is nowhere afterwards.
 *
 * @param {Translator} t
 * @param {{what: "password" | "totp", value: string, hint: string, onClose(): void}} options
 */
function showOnce(t, { what, value, hint, onClose }) {
  const field = h("input", { type: "text", id: "staff-once", readonly: true, value, dir: "ltr", spellcheck: "false", hook: "staff-once" });
  const state = h("p", { role: "status", hook: "staff-copied" });
  const copy = button(t("staff.copy"), {
    symbol: "copy",
    hook: "staff-copy",
    onclick: async () => setText(state, t((await copied(field)) ? "staff.copied" : "staff.not_copied")),
  });
  const shut = button(t("dialog.shut"), { class: "main", hook: "staff-once-shut", onclick: () => dialog.close() });
  const label = h("label", { for: "staff-once" }, t(`staff.once.${what}`));
  const body = h(
    "div",
    { class: "body" },
    h("p", {}, hint),
    h("div", { class: "field" }, label, field),
    state,
    h("div", { class: "row" }, copy, shut),
  );
  const dialog = showDialog(t(`staff.once.${what}`), [body], { onClose });
  field.focus();
}

/**
 * What is said of a refusal: `{element, tell(outcome)}`. `onNewest()`: the administrator wants the newest revision.
 *
 * @param {Translator} t
 * @param {() => void} onNewest
 */
function refusal(t, onNewest) {
  const element = h("div", { role: "alert", class: "config-refusal", hook: "staff-refusal" });
  return {
    element,
    /** @param {StaffOutcome} outcome */
    tell({ problem, name }) {
      if (!problem) return element.replaceChildren();
      const words = h("p", { class: "alert" }, t(`staff.problem.${problem}`, { name }));
      if (problem !== "changed") return element.replaceChildren(words);
      element.replaceChildren(words, button(t("staff.take_newest"), { hook: "staff-newest", onclick: onNewest }));
    },
  };
}

/**
 * The form of an account, and below it what else can be done with it. `one` null: a new account.
 *
 * @param {Translator} t
 * @param {{one: Staff | null, departments: Department[], onCancel(): void, onDone(username: string, made: any): void, onNewest(username: string): void, onHistory(): void}} options
 * @returns {Part}
 */
function staffForm(t, { one, departments, onCancel, onDone, onNewest, onHistory }) {
  const fields = fieldsOf(one);
  const heading = h("h3", { tabindex: "-1" }, one ? t("config.edit_of", { name: one.name }) : t("staff.add"));
  const said = refusal(t, () => onNewest(one?.username ?? ""));
  const save = button(t("config.save"), { type: "submit", class: "main", hook: "staff-save" });
  /** @type {Record<string, {problem: HTMLElement, control: HTMLElement}>} */
  const controls = {};
  let busy = false;

  /** @param {string} name @param {HTMLElement} control @param {boolean} [hinted] */
  function field(name, control, hinted = false) {
    const id = `staff-${name}`;
    const problem = h("p", { class: "problem-of", id: `${id}-problem` });
    const help = hinted && h("small", { id: `${id}-hint` }, t(`staff.${name}_hint`));
    for (const [key, value] of Object.entries({ id, "data-testid": id })) setAttribute(control, key, value);
    setAttribute(control, "aria-describedby", [help && help.id, problem.id].filter(Boolean).join(" "));
    controls[name] = { problem, control };
    return h("div", { class: "field" }, h("label", { for: id }, t(`staff.column.${name}`)), help, control, problem);
  }

  /** @param {"username" | "name" | "capacity"} name @param {boolean} hinted */
  function written(name, hinted) {
    const control = h("input", {
      type: "text",
      maxlength: "100",
      autocomplete: "off",
      autocapitalize: name === "username" ? "none" : null,
      spellcheck: "false",
      inputmode: name === "capacity" ? "numeric" : null,
      value: fields[name],
    });
    control.addEventListener("input", () => (fields[name] = control.value));
    return field(name, control, hinted);
  }

  /** @param {"departments" | "locales"} name @param {{id: string, words: string}[]} choices */
  function ticked(name, choices) {
    const boxes = choices.map(({ id, words }) => {
      const box = h("input", {
        type: "checkbox",
        checked: fields[name].includes(id),
        hook: `staff-${name}-${id}`,
        onchange: () => {
          const others = choices.map((choice) => choice.id).filter((other) => other !== id && fields[name].includes(other));
          fields[name] = choices.map((choice) => choice.id).filter((other) => others.includes(other) || (other === id && box.checked));
        },
      });
      return h("label", { class: "switch" }, box, h("span", {}, words));
    });
    const problem = h("p", { class: "problem-of", id: `staff-${name}-problem` });
    controls[name] = { problem, control: /** @type {HTMLElement} */ (boxes[0]?.querySelector("input") ?? heading) };
    return h(
      "fieldset",
      { "aria-describedby": problem.id },
      h("legend", {}, t(`staff.column.${name}`)),
      h("div", { class: "departments" }, ...boxes),
      problem,
    );
  }

  const names = [
    one ? h("p", { hook: "staff-username-of" }, h("bdi", {}, one.username)) : written("username", true),
    written("name", true),
  ];
  const role = h(
    "select",
    { onchange: () => ((fields.role = role.value), draw()) },
    ...ROLES.map((name) => h("option", { value: name, selected: fields.role === name }, t(`staff.role.${name}`))),
  );
  const glass = h("input", {
    type: "checkbox",
    checked: fields.break_glass,
    id: "staff-break_glass",
    hook: "staff-break_glass",
    "aria-describedby": "staff-break_glass-hint staff-break_glass-problem",
    onchange: () => (fields.break_glass = glass.checked),
  });
  const glassProblem = h("p", { class: "problem-of", id: "staff-break_glass-problem" });
  const ofAgents = h(
    "div",
    { class: "config" },
    ticked(
      "departments",
      departments.map((department) => ({ id: department.id, words: department.names[t.language] ?? department.id })),
    ),
    written("capacity", true),
    ticked(
      "locales",
      LANGUAGES.map((id) => ({ id, words: t(`locale.${id}`) })),
    ),
  );
  const form = h(
    "form",
    {
      class: "answer-form",
      novalidate: true,
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        run(store);
      },
    },
    heading,
    ...names,
    field("role", role),
    h("p", { class: "hint", hook: "staff-role-words" }),
    ofAgents,
    h(
      "div",
      { class: "field" },
      h("label", { class: "switch" }, glass, h("span", {}, t("staff.column.break_glass"))),
      h("small", { id: "staff-break_glass-hint" }, t("staff.break_glass_hint")),
      glassProblem,
    ),
    said.element,
    h("div", { class: "row" }, button(t("dialog.cancel"), { hook: "staff-cancel", onclick: onCancel }), save),
  );
  controls.break_glass = { problem: glassProblem, control: glass };
  const roleWords = /** @type {HTMLElement} */ (form.querySelector("[data-testid=staff-role-words]"));

  function draw() {
    ofAgents.hidden = isOfficer(fields.role);
    setText(roleWords, t(`staff.role_hint.${fields.role}`));
  }

  /** @param {Record<string, string>} faults */
  function complain(faults) {
    for (const [name, { problem, control }] of Object.entries(controls)) {
      setText(problem, faults[name] ? t(`staff.problem.${faults[name]}`) : "");
      setAttribute(control, "aria-invalid", faults[name] ? "true" : null);
    }
    const first = Object.keys(controls).find((name) => faults[name]);
    controls[first ?? ""]?.control.focus();
    return !first;
  }

  /** @param {() => Promise<void>} work */
  async function run(work) {
    if (busy) return;
    busy = true;
    setAttribute(save, "aria-disabled", "true");
    await work();
    busy = false;
    setAttribute(save, "aria-disabled", null);
  }

  /** @param {StaffOutcome} outcome */
  function take(outcome) {
    if (outcome.body) return onDone(one?.username ?? fields.username.trim(), outcome.body);
    const { field: name, problem } = outcome;
    if (!name || !problem || !(name in controls)) return said.tell(outcome);
    said.tell({ ...outcome, problem: null });
    complain({ [name]: problem });
  }

  async function store() {
    if (!complain(faultsOf(fields, { isNew: !one, totp: one?.totp ?? false })))
      return said.tell({ problem: null, field: null, name: "", body: null });
    take(await (one ? requests.change(one, formOf(fields)) : requests.add(fields.username.trim(), formOf(fields))));
  }

  /** @param {Staff} account */
  function actsOf(account) {
    /** @param {string} act @param {boolean} [danger] */
    const act = (act, danger = false) =>
      button(t(`staff.act.${act}`), {
        hook: `staff-act-${act}`,
        class: danger ? "danger" : null,
        onclick: () =>
          confirm(t, {
            title: t(`staff.act.${act}`),
            body: t(`staff.ask.${act}`, { name: account.name }),
            yes: t(`staff.act.${act}`),
            onYes: () => run(async () => showOutcome(await requests.act(account, act))),
          }),
      });
    /** @param {StaffOutcome} outcome */
    const showOutcome = (outcome) => (outcome.body ? onDone(account.username, outcome.body) : below.tell(outcome));
    const below = refusal(t, () => onNewest(account.username));
    return h(
      "section",
      { class: "config", "aria-labelledby": "staff-more-title" },
      h("h4", { id: "staff-more-title" }, t("staff.more_acts")),
      h(
        "div",
        { class: "row config-acts" },
        button(t("staff.history"), { hook: "staff-history", onclick: onHistory }),
        act(account.disabled ? "enable" : "disable"),
        act("make_password"),
        act("make_totp"),
        account.totp && act("remove_totp"),
        act("remove", true),
      ),
      below.element,
    );
  }

  draw();
  const element = h("div", { class: "config" }, form, one && actsOf(one));
  return { element, focus: () => heading.focus(), changed: () => differs(fields, one) };
}

/**
 * What was changed of an account, the newest first, each with the way back.
 *
 * @param {Translator} t
 * @param {{username: string, departments: Department[], onBack(): void, onDone(made: any): void}} options
 * @returns {Part}
 */
function historyList(t, { username, departments, onBack, onDone }) {
  const heading = h("h3", { tabindex: "-1" }, t("staff.history_of", { name: username }));
  const said = refusal(t, load);
  const rows = h("ul", { class: "questions", hook: "staff-history-list" });
  let revision = 0;

  async function load() {
    const outcome = await requests.history(username);
    said.tell(outcome);
    if (!outcome.body) return;
    revision = outcome.body.revision;
    rows.replaceChildren(...outcome.body.entries.map((/** @type {StaffEntry} */ entry) => row(entry, outcome.body.removed)));
  }

  /** @param {StaffEntry} entry @param {boolean} removed */
  function row(entry, removed) {
    const number = entry.revision;
    const may = entry.undoable && (removed ? number === revision : entry.act !== "removed");
    return h(
      "li",
      { class: "question" },
      h("h4", {}, known(t, "staff.did", entry.act)),
      h(
        "p",
        { class: "facts" },
        h("span", {}, moment(entry.at, t.language)),
        h("span", {}, entry.act === "begun" ? t("access.role.operator") : h("bdi", {}, entry.by.name)),
      ),
      h("ul", { class: "files" }, ...(entry.act === "removed" ? [] : changesOf(entry).map(change))),
      may &&
        h(
          "div",
          { class: "row" },
          button(t("staff.undo"), {
            hook: `staff-undo-${number}`,
            "aria-label": `${t("staff.undo")}: ${known(t, "staff.did", entry.act)}, ${moment(entry.at, t.language)}`,
            onclick: () =>
              confirm(t, { title: t("staff.undo"), body: t("staff.undo_body"), yes: t("staff.undo"), onYes: () => undo(number) }),
          }),
        ),
    );
  }

  /** @param {{field: string, before: any, after: any}} one */
  function change({ field, before, after }) {
    const name = t(`staff.column.${field}`);
    if (before === undefined) return h("li", {}, t("staff.set", { field: name, after: words(field, after) }));
    return h("li", {}, t("staff.set_from", { field: name, before: words(field, before), after: words(field, after) }));
  }

  /** @param {string} field @param {any} value */
  function words(field, value) {
    if (field === "role") return t(`staff.role.${value}`);
    if (field === "departments") return value.map((/** @type {string} */ id) => departmentName(t, departments, id)).join(", ") || "–";
    if (field === "locales") return value.map((/** @type {string} */ id) => t(`locale.${id}`)).join(", ");
    return typeof value === "boolean" ? t(value ? "staff.yes" : "staff.no") : String(value);
  }

  /** @param {number} of */
  async function undo(of) {
    const outcome = await requests.act({ username, revision }, "undo", of);
    said.tell(outcome);
    if (outcome.body) onDone(outcome.body);
  }

  load();
  const element = h(
    "div",
    { class: "config-versions" },
    heading,
    h("div", { class: "row config-acts" }, button(t("staff.back"), { symbol: "back", hook: "staff-back", onclick: onBack })),
    said.element,
    rows,
  );
  return { element, focus: () => heading.focus() };
}
