/** The staff, for administrators: a table of accounts, and in its place the form or the history of one; passwords are shown once. */
import { h, setText } from "../shared/dom.js";
import { confirm, show as showDialog } from "./dialogs.js";
import { button, copied } from "./dom.js";
import { latest } from "./latest.js";
import { overview } from "./side-page.js";
import { staffForm } from "./staff-form.js";
import { staffHistory } from "./staff-history.js";
import { problemWords, requests, secretOf, servedWords, withAccount, withMore } from "./staff.js";

/** @typedef {import("./staff.js").Staff} Staff */
/** @typedef {import("./staff.js").StaffList} StaffList */
/** @typedef {import("./staff.js").StaffOutcome} StaffOutcome */
/** @typedef {import("./staff.js").Department} Department */
/** @typedef {{account: Staff | null, password: string | null, totp: string | null}} Made */
/** @typedef {{element: HTMLElement, focus(): void, fields?: import("./staff.js").StaffFields, changed?(): boolean}} Part */

const COLUMNS = ["name", "username", "role", "departments", "state", "acts"];

/**
 * `{element, draw(), focus(), changed(), leave(go), stop()}`; `say` speaks, `isOpen()` tells whether this person is still logged in here. What is
 * shown stays until the administrator leaves it; `leave` asks first where something was changed.
 *
 * @param {Translator} t
 * @param {{say(words: string, how?: string): void, isOpen(): boolean}} options
 */
export function staffView(t, { say, isOpen }) {
  const frame = overview(t, { title: t("staff"), lead: t("staff.lead"), acts: { back: null, refresh: () => leave(refresh) } });
  const place = h("div", { class: "config" });
  const field = h("input", { type: "search", id: "staff-search", maxlength: "100", autocomplete: "off", hook: "staff-search" });
  const which = h(
    "select",
    { id: "staff-which", hook: "staff-which", onchange: find },
    h("option", { value: "" }, t("staff.current")),
    h("option", { value: "removed" }, t("staff.removed")),
  );
  const count = h("p", { class: "past-state", role: "status", hook: "staff-count" });
  const rows = h("div", { class: "config" });
  frame.body.append(place);
  /** @type {Part | null} */
  let part = null; // in the place of the table
  /** @type {StaffList | null} */
  let list = null;
  /** @type {Department[]} */
  let departments = [];
  let sought = { text: "", removed: false };
  let soughtOfList = sought;
  let [inFile, appending, stopped] = [false, false, false];
  let done = 0; // counts
  const changed = () => part?.changed?.() ?? false;
  const search = h(
    "form",
    {
      class: "row config-acts staff-search",
      role: "search",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        find();
      },
    },
    h("label", { for: "staff-search" }, t("staff.search")),
    field,
    h("label", { for: "staff-which" }, t("staff.which")),
    which,
    button(t("staff.find"), { type: "submit", hook: "staff-find" }),
    button(t("staff.add"), { class: "main", hook: "staff-add", onclick: () => edit(null) }),
  );

  // What was opened meanwhile stays. What was done meanwhile is not in the answer: it is asked again.
  const asked = latest(async (current) => {
    const [before, searched, doneBefore] = [part, sought, done];
    const { problem, body } = await requests.search(searched.text, "", searched.removed);
    if (!current()) return;
    frame.tell(problem ? t("overview.failed") : "");
    if (problem) return;
    if (done !== doneBefore) return void asked.run();
    frame.asOf(new Date());
    inFile = body.source === "file";
    if (!inFile) {
      ({ departments } = body);
      list = withMore({ accounts: [], last: "", more: false, removed: searched.removed }, body);
      soughtOfList = searched;
    }
    if (part === before) showList();
  });

  function find() {
    sought = { text: field.value.trim(), removed: which.value === "removed" };
    asked.run();
  }

  function refresh() {
    showList();
    asked.run();
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
  function showList(focus = "") {
    part = null;
    if (inFile) return place.replaceChildren(h("p", { hook: "staff-in-file" }, t("staff.in_file")));
    if (!list) return;
    const at = /** @type {HTMLElement | null} */ (document.activeElement);
    const wanted = focus || (rows.contains(at) && at?.dataset.testid);
    rows.replaceChildren(...table(list));
    setText(count, countOf(list));
    if (search.parentNode !== place) place.replaceChildren(search, count, rows);
    if (wanted) /** @type {HTMLElement} */ (place.querySelector(`[data-testid="${wanted}"]`) ?? frame).focus();
  }

  /** @param {StaffList} shown */
  function countOf({ accounts, more, removed }) {
    if (!accounts.length) return t("staff.none");
    if (removed) return t(more ? "staff.removed_count_more" : "staff.removed_count", { n: accounts.length });
    return t(more ? "staff.count_more" : "staff.count", { n: accounts.length });
  }

  /** @param {StaffList} shown */
  function table({ accounts, more }) {
    if (!accounts.length) return [];
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
      h("tbody", { role: "rowgroup" }, ...accounts.map(row)),
    );
    const next = button(t("staff.more"), { hook: "staff-more", hidden: !more, onclick: append });
    return [made, h("div", { class: "row config-acts" }, next)];
  }

  // Others that were searched for, or another account that was changed meanwhile: what comes fits no more.
  async function append() {
    const shown = list;
    if (!shown || appending) return;
    appending = true;
    const { body, problem } = await requests.search(soughtOfList.text, shown.last, soughtOfList.removed);
    appending = false;
    if (stopped || list !== shown) return;
    frame.tell(problem ? t("overview.failed") : "");
    if (problem) return;
    list = withMore(shown, body);
    if (part) return;
    const first = body.accounts[0]?.username ?? shown.last;
    showList(hookOf(first));
  }

  /** The hook of the button in the row of an account. @param {string} username */
  const hookOf = (username) => `staff-${list?.removed ? "history" : "edit"}-${username}`;

  /** @param {Staff} one */
  function row(one) {
    const states = one.removed
      ? ["removed"]
      : [one.disabled ? "disabled" : "active", one.totp && "totp", one.break_glass && "break_glass"].filter(Boolean);
    /** @type {Record<string, Node | string>} */
    const cells = {
      name: h("bdi", {}, one.name),
      username: h("bdi", {}, one.username),
      role: t(`staff.role.${one.role}`),
      departments: servedWords(t, departments, one.departments),
      state: states.map((state) => t(`staff.state.${state}`)).join(", "),
      acts: one.removed
        ? button(t("staff.history"), {
            hook: `staff-history-${one.username}`,
            "aria-label": t("staff.history_of", { name: one.name }),
            onclick: () => history(one.username),
          })
        : button(t("config.edit"), {
            hook: `staff-edit-${one.username}`,
            "aria-label": t("config.edit_of", { name: one.name }),
            onclick: () => edit(one),
          }),
    };
    /** @param {string} name */
    const cell = (name) => {
      const [tag, role] = name === "name" ? /** @type {const} */ (["th", "rowheader"]) : /** @type {const} */ (["td", "cell"]);
      const label = h("span", { class: "label", "aria-hidden": "true" }, t(`staff.column.${name}`));
      return h(tag, { role, scope: tag === "th" ? "row" : null }, label, h("span", {}, cells[name]));
    };
    return h("tr", { role: "row", hook: "staff-row" }, ...COLUMNS.map(cell));
  }

  /** @param {Staff | null} one @param {import("./staff.js").StaffFields} [fields] */
  function edit(one, fields) {
    const made = staffForm(t, {
      one,
      fields,
      departments,
      leave,
      onCancel: () => leave(() => showList(one ? `staff-edit-${one.username}` : "staff-add")),
      onDone: (username, outcome) => take(made, username, outcome),
      onNewest: () => newest(made, one?.username ?? ""),
      onHistory: () => leave(() => one && history(one.username)),
    });
    show(made);
  }

  /**
   * The form of an account that was stored, with what was changed in it meanwhile; the focus and the cursor stay where they are.
   *
   * @param {Staff} account
   * @param {import("./staff.js").StaffFields} fields
   */
  function editOn(account, fields) {
    const at = /** @type {HTMLInputElement} */ (document.activeElement);
    edit(account, { ...fields, username: account.username });
    const same = /** @type {HTMLInputElement | null} */ (place.querySelector(`[data-testid="${at.dataset.testid}"]`));
    same?.focus();
    if (same?.type === "text") same.setSelectionRange(at.selectionStart, at.selectionEnd);
  }

  /** @param {string} username */
  function history(username) {
    const made = staffHistory(t, {
      username,
      departments,
      onBack: () => showList(hookOf(username)),
      onDone: (outcome) => take(made, username, outcome),
    });
    show(made);
  }

  /**
   * The account as it is now, in a form; else why not.
   *
   * @param {Part} mine
   * @param {string} username
   * @returns {Promise<StaffOutcome>}
   */
  async function newest(mine, username) {
    const outcome = await requests.find(username);
    const found = outcome.body?.accounts?.find((/** @type {Staff} */ one) => one.username === username) ?? null;
    if (stopped || part !== mine || outcome.problem) return outcome;
    ({ departments } = outcome.body);
    if (list) list = withAccount(list, username, found);
    if (!found) return { ...outcome, problem: "gone", body: null };
    edit(found);
    return outcome;
  }

  /**
   * Shows what was made, once, then the table; after a removal the history, where it can be undone. Returns whether the part that asked is to tell
   * a refusal. A person who has gone on meanwhile is told where they are, and stays there; so does one who has changed more in the form.
   *
   * @param {Part} mine
   * @param {string} username
   * @param {StaffOutcome} outcome
   */
  function take(mine, username, outcome) {
    const isHere = !stopped && part === mine;
    if (outcome.problem) {
      if (!isHere && isOpen()) say(`${username}: ${problemWords(t, outcome)}`, "loud");
      return isHere;
    }
    const { account, password, totp } = /** @type {Made} */ (outcome.body);
    const words = t(account ? "staff.said_stored" : "staff.said_removed");
    const more = isHere && account && mine.changed?.() ? mine.fields : undefined;
    done += 1;
    if (list) list = withAccount(list, username, account);
    if (!isOpen()) return false;
    if (more) say(`${words} ${t("config.not_yet")}`, "loud");
    else if (isHere) say(words);
    else say(`${username}: ${words}`, "loud");
    if (password) showOnce({ what: "password", value: password, hint: t("staff.password_once", { name: username }) }, go);
    else if (totp) showOnce({ what: "totp", value: secretOf(totp), hint: t("staff.totp_once", { name: username }) }, go);
    else go();
    return false;

    function go() {
      if (more && account) editOn(account, more);
      else if (isHere && account) showList(`staff-edit-${username}`);
      else if (isHere) history(username);
      else if (!stopped && !part) showList();
    }
  }

  /**
   * A password or a secret in a window, to be copied; it is nowhere afterwards.
   *
   * @param {{what: "password" | "totp", value: string, hint: string}} made
   * @param {() => void} onClose
   */
  function showOnce({ what, value, hint }, onClose) {
    const shown = h(
      "textarea",
      { id: "staff-once", readonly: true, rows: "2", dir: "ltr", spellcheck: "false", hook: "staff-once" },
      value,
    );
    const state = h("p", { role: "status", hook: "staff-copied" });
    const copy = button(t("staff.copy"), {
      symbol: "copy",
      hook: "staff-copy",
      onclick: async () => {
        setText(state, ""); // the same words again are news again
        setText(state, t((await copied(shown)) ? "staff.copied" : "staff.not_copied"));
      },
    });
    const shut = button(t("dialog.shut"), { class: "main", hook: "staff-once-shut", onclick: () => dialog.close() });
    const label = h("label", { for: "staff-once" }, t(`staff.once.${what}`));
    const body = h(
      "div",
      { class: "body" },
      h("p", {}, hint),
      h("div", { class: "field" }, label, shown),
      state,
      h("div", { class: "row" }, copy, shut),
    );
    const open = new AbortController();
    // The end of a session takes the window away without closing it.
    addEventListener("beforeunload", (event) => dialog.isConnected && event.preventDefault(), { signal: open.signal });
    const dialog = showDialog(t(`staff.once.${what}`), [body], {
      onClose: () => {
        open.abort();
        onClose();
      },
    });
    shown.focus();
  }

  asked.run();
  return {
    element: frame.element,
    focus: () => (part ? part.focus() : frame.focus()),
    draw() {},
    changed,
    leave,
    stop() {
      stopped = true;
      asked.stop();
    },
  };
}
