// What a press on a blue button opens where the department offers more than the info sheet: to wait, or to leave a question with files.
import { estimate } from "./queue-info.js";
import { dayInWords, FORM_LOOKS, questionForm } from "./leave-question.js";
import { mayWait } from "./blue-reason.js";
import { h, icon, setAttribute, setText } from "../shared/dom.js";
import { newId } from "../shared/conversation.js";
import { panelSheet } from "./panel-style.js";
import { toolsSheet } from "./tools-style.js";
import { secondsOf } from "./start-chat.js";
import { sheet, wear } from "../shared/style-sheets.js";
import { translator } from "../shared/translator.js";
import { upload } from "../shared/upload.js";

const CROSS = "M6 6 18 18 M18 6 6 18";
const SMALL = "(max-width: 30rem), (max-height: 30rem)"; // as in panel-style.js
const ANSWER = 20_000; // ms
const AGAIN = ["network", "rate_limited", "unavailable", "too_slow"];
const looks = sheet(`${FORM_LOOKS}
@media (min-width: 30.01rem) and (min-height: 30.01rem) { .blue-panel { height: auto; max-height: min(40rem, calc(100dvh - 2rem)); } }
.blue-panel .body { overflow-y: auto; }
.view { display: flex; flex-direction: column; gap: .75rem; padding: 1rem; }
.view:focus { outline: none; }
.why { font-weight: 600; }
.choices { display: flex; flex-direction: column; gap: .5rem; margin: 0; padding: 0; list-style: none; }
.choices :is(a, button) { display: grid; justify-content: start; justify-items: start; gap: 0; width: 100%; min-height: 2.75rem; padding: .6rem .9rem; border: 1px solid var(--edge); border-radius: .4rem;
  background: none; color: var(--link); font-weight: 600; text-align: start; text-decoration: none; cursor: pointer; }
.choices :is(a, button):hover { background: var(--soft); }
.choices small { color: var(--muted); font-weight: 400; }
.view h3, .view .ways { margin: 0; }
.number { padding: .5rem .8rem; border-radius: .4rem; background: var(--soft); font: 600 1.5rem ui-monospace, monospace; letter-spacing: .08em; text-align: center; }
.chosen { display: flex; flex-direction: column; gap: .25rem; margin: 0; padding: 0; list-style: none; font-size: .9375rem; }
.chosen li { display: flex; flex-wrap: wrap; align-items: center; gap: .1rem .6rem; }
.chosen bdi { min-width: 0; overflow-wrap: anywhere; }
.chosen .wrong { flex: 1 1 100%; }
.blue-panel .start { overflow: visible; }
.blue-panel .start > * { flex: none; }
.start input[type=file] { padding: .45rem; }
`);

/**
 * Where a citizen stands who chooses to wait now: "(plaats 3, ongeveer 6 minuten)", as far as it is known.
 *
 * @param {Translator} t
 * @param {QueuePlace | null | undefined} queue
 */
export function placeInWords(t, queue) {
  if (!queue?.position) return "";
  const length = estimate(queue.wait);
  return length ? t(`place_${length.key}`, { position: queue.position, n: length.n }) : t("place_only", { position: queue.position });
}

/**
 * Leaves a question without a chat: `{receipt}`, or `{code, seconds}`.
 *
 * @param {string} base
 * @param {string} key
 * @param {object} given
 */
export async function ask(base, key, given) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  try {
    const answer = await fetch(`${base}/api/questions`, {
      method: "POST",
      headers,
      body: JSON.stringify(given),
      credentials: "omit",
      signal: AbortSignal.timeout(ANSWER),
    });
    const told = await answer.json().catch(() => null);
    if (answer.status === 201 && typeof told?.question_id === "string" && typeof told.token === "string") return { receipt: told };
    const code = answer.status >= 400 && typeof told?.code === "string" ? told.code : "unavailable";
    return { code, seconds: secondsOf(answer) };
  } catch {
    return { code: "network" };
  }
}

/**
 * The panel of a blue button; `words(button)` says why it is blue.
 *
 * @param {ChatElement} host
 * @param {string} base
 * @param {(button: Button) => string} words
 */
export async function createBluePanel(host, base, words) {
  const { lang } = host.frame;
  const names = ["", "files/", "waiting/", "blue/"].map((part) => import(`./text/${part}${lang}.js`));
  const t = translator(Object.assign({}, ...(await Promise.all(names)).map((module) => module.default)), lang);
  const small = matchMedia(SMALL);
  const title = h("h2", { id: "blue-title", tabindex: -1 }, t("title"));
  const shut = h(
    "button",
    { class: "fold", type: "button", hook: "blue-close", "aria-label": t("dismiss"), onclick: () => close() },
    icon(CROSS),
  );
  const body = h("div", { class: "body" });
  const dialog = h(
    "dialog",
    { class: "panel blue-panel", hook: "blue-panel", "aria-labelledby": "blue-title" },
    h("div", { class: "head" }, title, shut),
    body,
  );
  const why = h("p", { class: "why", role: "status", hook: "blue-reason" });
  const notice = h("p", { class: "notice", role: "alert", hidden: true });
  const place = h("small", { hook: "blue-place" });
  const within = h("small");
  const now = choice("button", "blue-chat", { onclick: () => start() }, t("chatNow"));
  const info = choice(
    "a",
    "blue-sheet",
    { target: "_blank", rel: "noopener" },
    t("infofiche"),
    h("small", {}, `${t("sheetHint")} ${t("newTab")}`),
  );
  const wait = choice("button", "blue-wait", { onclick: () => queue() }, t("wait"), place);
  const question = choice("button", "blue-question", { onclick: () => form() }, t("leave"), within);
  const ways = h("div", { hidden: true });
  const choices = h("div", { class: "view" }, why, notice, h("ul", { class: "choices" }, now, info, wait, question), ways);
  /** @type {ReturnType<typeof questionForm> | undefined} */
  let asking;
  /** @type {{key: string, of: string} | undefined} */
  let sent; // a repeat of the same question has the same key
  /** @type {File[]} */
  let files = [];
  let busy = false;

  for (const one of [panelSheet, toolsSheet, looks]) wear(host.shadowRoot, one);
  body.append(choices);
  host.frame.append(dialog);

  /** @param {"a" | "button"} tag @param {string} hook @param {Record<string, unknown>} more @param {...(Node | string)} inside */
  function choice(tag, hook, more, ...inside) {
    return h(
      "li",
      {},
      h(tag, { hook, ...(tag === "button" && { type: "button" }), ...more }, h("span", {}, ...inside.slice(0, 1)), ...inside.slice(1)),
    );
  }

  /** @param {string} [text] */
  function complain(text) {
    setAttribute(notice, "hidden", !text);
    setText(notice, text ?? "");
  }

  const focused = () => /** @type {HTMLElement | null} */ (host.shadowRoot.activeElement);
  const attribute = (/** @type {string} */ name) => host.getAttribute(name) ?? undefined;

  function draw() {
    const { button } = host;
    if (!button) return;
    const green = button.colour === "green";
    const before = focused();
    setText(why, green ? t("nowGreen") : words(button));
    setAttribute(now, "hidden", !green);
    setAttribute(
      /** @type {Element} */ (info.firstElementChild),
      "href",
      host.sheet?.() ?? `${base}/infofiche/${attribute("department") ?? "algemeen"}`,
    );
    setAttribute(wait, "hidden", !mayWait(button));
    setText(place, placeInWords(t, button.queue));
    setAttribute(question, "hidden", green || !button.questions);
    setText(within, answerWithin(button.answer_within));
    const list = !ways.childElementCount && button.contact.length ? /** @type {HTMLElement} */ (host.ways()) : null;
    if (list?.childElementCount) {
      list.lastElementChild?.remove(); // the info sheet and what this panel offers are there already
      list.querySelector("button")?.parentElement?.remove();
      ways.replaceChildren(h("h3", {}, t("otherWays")), list);
      ways.hidden = false;
    }
    if (before && choices.contains(before) && before.closest("[hidden]")) title.focus();
  }

  /** @param {number | null | undefined} days */
  const answerWithin = (days) => (days ? t("within", { n: days }) : "");

  /** @param {Node} view @param {HTMLElement} [first] */
  function show(view, first = title) {
    body.replaceChildren(view);
    body.scrollTop = 0;
    first.focus();
  }

  function open() {
    draw();
    if (dialog.open) return;
    /** @type {HTMLElement | null} */
    const chat = host.shadowRoot.querySelector(".panel[open] [data-testid=chat-minimise]"); // a start form that was refused
    chat?.click();
    if (!body.firstChild) body.append(choices);
    if (small.matches) dialog.showModal();
    else dialog.show();
    tellHost();
    title.focus();
  }

  function close() {
    if (!dialog.open) return;
    dialog.close();
    complain();
    if (!asking?.element.isConnected) body.replaceChildren(choices);
    tellHost();
    host.launcher?.focus();
  }

  const tellHost = () => host.show({ chat: { live: false, unread: 0, ...host.chat, open: dialog.open } });

  function start() {
    close();
    host.press?.();
  }

  async function queue() {
    if (busy) return;
    busy = true;
    complain();
    setAttribute(/** @type {Element} */ (wait.firstElementChild), "aria-disabled", "true");
    const panel = await host.load?.();
    const answer = panel?.begin ? await panel.begin({ queue: true }) : { code: "network" };
    busy = false;
    setAttribute(/** @type {Element} */ (wait.firstElementChild), "aria-disabled", null);
    if (answer.code) return complain(refusal(answer.code, answer.seconds));
    dialog.close();
    panel.open();
  }

  /** @param {string} code @param {number} [seconds] */
  function refusal(code, seconds) {
    if (code === "rate_limited") return t("startBusy", { n: seconds ?? 5 });
    /** @type {Record<string, string>} */
    const keys = { queue_full: "queueFull", button_blue: "queueGone", blocked: "blocked" };
    return t(keys[code] ?? "waitFailed");
  }

  // With what was typed in a start form, when the button turned blue meanwhile.
  function form() {
    /** @type {HTMLTextAreaElement | null} */
    const typed = host.shadowRoot.querySelector("#question");
    asking ??= makeForm();
    show(asking.element);
    asking.show(typed?.value ?? "");
  }

  function makeForm() {
    const name = h("input", { id: "left-name", hook: "question-name", name: "name", maxlength: 100, autocomplete: "name", dir: "auto" });
    const picker = h("input", { id: "left-files", hook: "question-files", type: "file", multiple: true, onchange: () => pick() });
    const chosen = h("ul", { class: "chosen" });
    const back = () => show(choices, /** @type {HTMLElement} */ (question.firstElementChild));
    const pick = () => {
      files.push(...(picker.files ?? []));
      picker.value = "";
      list();
    };
    const list = () => {
      const rows = files.map((file) =>
        h(
          "li",
          {},
          h("bdi", {}, file.name),
          h(
            "button",
            { class: "text", type: "button", "aria-label": t("removeFile", { name: file.name }), onclick: () => drop(file) },
            t("remove"),
          ),
        ),
      );
      chosen.replaceChildren(...rows);
    };
    const drop = (/** @type {File} */ file) => {
      files = files.filter((one) => one !== file);
      list();
      picker.focus();
    };
    return questionForm({
      t,
      send: (given) => {
        const { origin, pathname, protocol } = location;
        const url = protocol.startsWith("http") ? origin + pathname : undefined;
        const page = { id: attribute("form-id"), title: attribute("form-title") ?? document.title, url };
        const whole = { ...given, name: name.value.trim() || undefined, department: attribute("department"), locale: lang, form: page };
        const of = JSON.stringify(whole);
        if (sent?.of !== of) sent = { key: newId(), of };
        return ask(base, sent.key, whole);
      },
      intro: answerWithin(host.button?.answer_within),
      before: [h("label", { for: "left-name" }, t("name")), name],
      after: [h("label", { for: "left-files" }, t("attachments")), picker, chosen],
      onCancel: back,
      onLeft: (receipt) => thank(receipt),
      onLate: () => {},
    });
  }

  /** @param {QuestionReceipt} receipt */
  function answered({ answer_by: by, answer_within: n }) {
    const day = dayInWords(t, by);
    if (day) return t("answeredBy", { day });
    return n ? t("answeredWithin", { n }) : t("answered");
  }

  /** @param {QuestionReceipt} receipt */
  function thank(receipt) {
    const heading = h("h3", { tabindex: -1 }, t("received"));
    const rows = h("ul", { class: "chosen", hook: "receipt-files" });
    const status = h("p", { class: "sr", role: "status" });
    const done = h("button", { class: "primary", type: "button", hook: "receipt-close", onclick: () => close() }, t("dismiss"));
    const number = receipt.number && [
      h("p", {}, t("yourNumber")),
      h("p", { class: "number", hook: "receipt-number" }, spaced(receipt.number)),
    ];
    const view = h(
      "div",
      { class: "view", hook: "receipt" },
      heading,
      ...(number || []),
      h("p", { hook: "receipt-within" }, answered(receipt)),
      rows,
      status,
      done,
    );
    const send = files;
    [asking, sent, files] = [undefined, undefined, []];
    show(view, heading);
    if (send.length) sendFiles(receipt, send, rows, status);
  }

  // What could not be loaded is tried again with a query, as in chat-view.js.
  /** @param {QuestionReceipt} receipt @param {File[]} list @param {HTMLElement} rows @param {HTMLElement} status @param {number} [tries] */
  async function sendFiles(receipt, list, rows, status, tries = 0) {
    /** @type {typeof import("./files.js") | null} */
    const module = await import(tries ? `${base}/static/loket-chat/files.js?${tries}` : "./files.js").catch(() => null);
    if (!module) {
      const again = () => sendFiles(receipt, list, rows, status, tries + 1);
      const retry = h("button", { class: "text", type: "button", hook: "receipt-retry", onclick: again }, t("retry"));
      const problem = t("fileRefused", { why: t("network") });
      rows.replaceChildren(h("li", {}, h("span", { class: "wrong" }, problem), retry));
      return setText(status, problem);
    }
    rows.replaceChildren();
    const { because, outcome } = module;
    const url = `${base}/api/questions/${receipt.question_id}/attachments`;
    const headers = { Authorization: `Bearer ${receipt.token}` };
    const settings = host.settings ?? { timezone: "", attachment_bytes: 10485760, attachment_count: 20, attachment_total: 52428800 };
    let line = Promise.resolve(); // one at a time
    /** @param {File} file @param {HTMLElement} row */
    const one = async (file, row) => {
      const state = h("span", {}, t("sending"));
      row.replaceChildren(h("bdi", {}, file.name), state);
      const { done } = upload({
        url,
        headers,
        file,
        onProgress: (part) => setText(state, `${Math.round(part * 100)} %`),
      });
      const { status: code, text, failure } = await done;
      const told = failure ? { code: failure } : outcome(code, text);
      if (told.attachment) {
        setText(state, t("fileAdded"));
        return setText(status, `${file.name}: ${t("fileAdded")}`);
      }
      const problem = t(told.code === "question_closed" ? "fileLate" : "fileRefused", { why: because(t, told, lang, settings) });
      state.className = "wrong";
      setText(state, problem);
      setText(status, `${file.name}: ${problem}`);
      if (AGAIN.includes(told.code)) row.append(h("button", { class: "text", type: "button", onclick: () => add(file, row) }, t("retry")));
    };
    /** @param {File} file @param {HTMLElement} row */
    const add = (file, row) => (line = line.then(() => one(file, row)));
    for (const file of list) {
      const row = h("li", {}, h("bdi", {}, file.name));
      rows.append(row);
      add(file, row);
    }
  }

  /** @param {Event} event */
  const escape = (event) => {
    if (event instanceof KeyboardEvent && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    close();
  };
  dialog.addEventListener("keydown", escape);
  dialog.addEventListener("cancel", escape);

  return { open, changed: () => dialog.open && draw(), dispose: () => dialog.remove() };
}

/**
 * A number in two groups, as it is read out.
 *
 * @param {string} number
 */
export const spaced = (number) => number.replace(/^(.{4})(.{4})$/, "$1\u00a0$2");
