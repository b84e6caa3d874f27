/** The form of an account of the staff, and below it what else can be done with the account. */
import { h, setAttribute, setText } from "../shared/dom.js";
import { confirm } from "./dialogs.js";
import { button } from "./dom.js";
import { LANGUAGES } from "./i18n.js";
import { departmentName, differs, faultsOf, fieldsOf, formOf, isOfficer, orderOf, problemWords, requests, ROLES } from "./staff.js";

/** @typedef {import("./staff.js").Staff} Staff */
/** @typedef {import("./staff.js").StaffFields} StaffFields */
/** @typedef {import("./staff.js").StaffOutcome} StaffOutcome */
/** @typedef {import("./staff.js").Department} Department */

/**
 * What is said of a refusal: `{element, tell(outcome)}`; null: nothing. Where somebody was first, `onNewest()` brings what is newest, or why not.
 *
 * @param {Translator} t
 * @param {() => Promise<StaffOutcome>} onNewest
 */
export function refusal(t, onNewest) {
  const element = h("div", { role: "alert", class: "config-refusal", tabindex: "-1", hook: "staff-refusal" });
  const newest = button(t("staff.take_newest"), {
    hook: "staff-newest",
    onclick: async () => {
      const outcome = await onNewest();
      if (outcome.problem) tell(outcome);
    },
  });

  /** @param {StaffOutcome | null} outcome */
  function tell(outcome) {
    const held = element.contains(document.activeElement);
    const words = outcome?.problem ? [h("p", { class: "alert" }, problemWords(t, outcome))] : [];
    element.replaceChildren(...words, ...(outcome?.problem === "changed" ? [newest] : []));
    if (held && words.length) element.focus();
  }

  return { element, tell };
}

/**
 * `{element, fields, focus(), changed()}` of an account. `one` null: a new one. `fields`: what its form holds at first, where that is not the
 * account. `leave(go)` asks first where something was changed. `onDone(username, outcome)` takes every outcome; it returns whether the form is to
 * tell of a refusal. After a good outcome `changed()` tells whether something was changed since it was sent.
 *
 * @param {Translator} t
 * @param {{one: Staff | null, fields?: StaffFields, departments: Department[], leave(go: () => void): void, onCancel(): void, onDone(username: string, outcome: StaffOutcome): boolean, onNewest(): Promise<StaffOutcome>, onHistory(): void}} options
 */
export function staffForm(t, { one, fields = fieldsOf(one), departments, leave, onCancel, onDone, onNewest, onHistory }) {
  let stored = fieldsOf(one);
  const heading = h("h3", { tabindex: "-1" }, one ? t("config.edit_of", { name: one.name }) : t("staff.add"));
  const said = refusal(t, onNewest);
  const save = button(t("config.save"), { type: "submit", class: "main", hook: "staff-save" });
  const acting = [save]; // what waits while something is under way
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

  /** @param {"username" | "name" | "capacity"} name */
  function written(name) {
    const control = h("input", {
      type: "text",
      required: true,
      maxlength: "100",
      autocomplete: "off",
      autocapitalize: name === "username" ? "none" : null,
      spellcheck: "false",
      inputmode: name === "capacity" ? "numeric" : null,
      value: fields[name],
    });
    control.addEventListener("input", () => (fields[name] = control.value));
    return field(name, control, true);
  }

  /** @param {string} name @param {string} value */
  const fixed = (name, value) =>
    h("p", { class: "field" }, h("span", {}, t(`staff.column.${name}`)), h("bdi", { class: "value", hook: `staff-${name}-of` }, value));

  /** @param {"departments" | "locales"} name @param {string[]} choices @param {(id: string) => string} words */
  function ticked(name, choices, words) {
    const order = orderOf(fields[name], choices);
    const boxes = order.map((id) => {
      const box = h("input", {
        type: "checkbox",
        checked: fields[name].includes(id),
        hook: `staff-${name}-${id}`,
        onchange: () => (fields[name] = order.filter((other) => (other === id ? box.checked : fields[name].includes(other)))),
      });
      return h("label", { class: "switch" }, box, h("span", {}, words(id)));
    });
    const problem = h("p", { class: "problem-of", id: `staff-${name}-problem` });
    controls[name] = { problem, control: boxes[0]?.querySelector("input") ?? heading };
    return h(
      "fieldset",
      { "aria-describedby": problem.id },
      h("legend", {}, t(`staff.column.${name}`)),
      h("div", { class: "departments" }, ...boxes),
      problem,
    );
  }

  const names = [one ? fixed("username", one.username) : written("username"), written("name")];
  const role = h(
    "select",
    { onchange: () => ((fields.role = role.value), draw()) },
    ...ROLES.map((name) => h("option", { value: name, selected: fields.role === name }, t(`staff.role.${name}`))),
  );
  const roleField = field("role", role);
  const roleWords = h("p", { class: "hint", id: "staff-role-words", role: "status" });
  setAttribute(role, "aria-describedby", "staff-role-words staff-role-problem");
  const glass = h("input", {
    type: "checkbox",
    checked: fields.break_glass,
    id: "staff-break_glass",
    hook: "staff-break_glass",
    "aria-describedby": "staff-break_glass-hint staff-break_glass-problem",
    onchange: () => (fields.break_glass = glass.checked),
  });
  const glassProblem = h("p", { class: "problem-of", id: "staff-break_glass-problem" });
  controls.break_glass = { problem: glassProblem, control: glass };
  const ofAgents = h(
    "div",
    { class: "config" },
    ticked(
      "departments",
      departments.map(({ id }) => id),
      (id) => departmentName(t, departments, id),
    ),
    written("capacity"),
    ticked("locales", LANGUAGES, (id) => t(`locale.${id}`)),
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
    roleField,
    roleWords,
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
    const first = /** @type {HTMLElement | null} */ (form.querySelector("[aria-invalid]"));
    first?.focus();
    return !first;
  }

  /** @param {() => Promise<void>} work */
  async function run(work) {
    if (busy) return;
    busy = true;
    for (const each of acting) setAttribute(each, "aria-disabled", "true");
    try {
      await work();
    } finally {
      busy = false;
      for (const each of acting) setAttribute(each, "aria-disabled", null);
    }
  }

  /** @param {() => Promise<StaffOutcome>} request */
  async function sent(request) {
    const before = structuredClone(fields);
    const outcome = await request();
    if (!outcome.problem) stored = before;
    return outcome;
  }

  async function store() {
    said.tell(null);
    if (!complain(faultsOf(fields, { isNew: !one, totp: one?.totp ?? false }))) return;
    const username = one?.username ?? fields.username.trim();
    const outcome = await sent(() => (one ? requests.change(one, formOf(fields)) : requests.add(username, formOf(fields))));
    if (!onDone(username, outcome)) return;
    const { field: name, problem } = outcome;
    if (name && problem && Object.hasOwn(controls, name)) complain({ [name]: problem });
    else said.tell(outcome);
  }

  /** @param {Staff} account */
  function actsOf(account) {
    const below = refusal(t, onNewest);
    /** @param {string} act @param {boolean} [danger] */
    const act = (act, danger = false) => {
      const made = button(t(`staff.act.${act}`), {
        hook: `staff-act-${act}`,
        class: danger ? "danger" : null,
        onclick: () => busy || leave(ask),
      });
      acting.push(made);
      return made;

      function ask() {
        confirm(t, {
          title: t(`staff.act.${act}`),
          body: t(`staff.ask.${act}`, { name: account.name }),
          yes: t(`staff.act.${act}`),
          onYes: () => run(work),
        });
      }

      async function work() {
        below.tell(null);
        const outcome = await sent(() => requests.act(account, act));
        if (onDone(account.username, outcome)) below.tell(outcome);
      }
    };
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
  return { element, fields, focus: () => heading.focus(), changed: () => differs(fields, stored) };
}
