/** Reading a conversation of which a department asks why: asked once for each chat, and kept by this page until the user logs out. */
import { h, setAttribute, setText } from "../shared/dom.js";
import { ask, notes, transcript } from "./api.js";
import { show } from "./dialogs.js";
import { button } from "./dom.js";

const LONGEST = 500; // characters of a reason
const NAMED = /filename\*=UTF-8''([^;]+)/i; // RFC 6266
/** @type {Map<string, string>} */
const given = new Map(); // the reason for each chat
/** @type {Map<string, Promise<string | null>>} */
const asked = new Map(); // the open question for each chat

/** Forgets all reasons: the next user who logs in gives their own. */
export function forgetReasons() {
  given.clear();
  asked.clear();
}

/**
 * Reads something of a chat; `read(reason)` asks the server. When it wants a reason the person is asked, until it is given or they let it be:
 * once for all that is read at the same time.
 *
 * @template {{status: number, code: string | null}} T
 * @param {Translator} t
 * @param {string} chat
 * @param {(reason: string | undefined) => Promise<T>} read
 */
export async function reading(t, chat, read) {
  let reason = given.get(chat);
  let answer = await read(reason);
  while (answer.status === 428 && answer.code === "reason_required") {
    const known = given.get(chat);
    const next = known === reason ? await askOnce(t, chat) : known; // else it was given meanwhile
    if (!next) break;
    reason = next;
    answer = await read(reason);
  }
  return answer;
}

/**
 * Asks why, or waits for the answer to a question that is open already.
 *
 * @param {Translator} t
 * @param {string} chat
 */
function askOnce(t, chat) {
  const open =
    asked.get(chat) ??
    askReason(t, chat).then((reason) => {
      asked.delete(chat);
      if (reason !== null) given.set(chat, reason);
      return reason;
    });
  asked.set(chat, open);
  return open;
}

/**
 * The conversation of a chat and its notes: two answers of the server.
 *
 * @param {Translator} t
 * @param {string} chat
 */
export async function conversationOf(t, chat) {
  const said = await reading(t, chat, (reason) => transcript(chat, reason));
  const written = said.ok ? await reading(t, chat, (reason) => notes(chat, reason)) : said;
  return [said, written];
}

/**
 * Downloads what a link of a chat leads to. Resolves to false when that was not possible; to let it be is no failure.
 *
 * @param {Translator} t
 * @param {string} chat
 * @param {HTMLAnchorElement} link
 */
export async function save(t, chat, link) {
  const { href, download } = link;
  const answer = await reading(t, chat, (reason) => ask("GET", href, undefined, null, { reason, file: true }));
  if (!answer.ok) return answer.status === 428;
  const url = URL.createObjectURL(answer.body.bytes);
  const name = download || decodeURIComponent(NAMED.exec(answer.body.disposition)?.[1] ?? "");
  const made = h("a", { href: url, download: name });
  document.body.append(made);
  made.click();
  made.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return true;
}

/**
 * Asks why; resolves to the reason, or to null.
 *
 * @param {Translator} t
 * @param {string} chat
 * @returns {Promise<string | null>}
 */
function askReason(t, chat) {
  return new Promise((resolve) => {
    /** @type {string | null} */
    let reason = null;
    const alert = h("p", { class: "alert", role: "alert", id: "reading-alert" });
    const input = h("input", {
      type: "text",
      id: "reading-reason",
      maxlength: String(LONGEST),
      required: true,
      autocomplete: "off",
      dir: "auto",
      "aria-describedby": "reading-hint reading-alert",
      hook: "reading-reason",
    });
    const no = button(t("dialog.cancel"), { onclick: () => dialog.close() });
    const go = button(t("reading.go"), { type: "submit", class: "main", hook: "reading-confirm" });
    const form = h(
      "form",
      { novalidate: true, onsubmit: send },
      h("p", {}, t("reading.lead", { chat: chat.slice(0, 8) })),
      h(
        "div",
        { class: "field" },
        h("label", { for: "reading-reason" }, t("reading.reason")),
        input,
        h("small", { id: "reading-hint" }, t("reading.hint")),
      ),
      alert,
      h("div", { class: "row" }, no, go),
    );
    const dialog = show(t("reading.title"), [form], { onClose: () => resolve(reason) });
    input.focus();

    /** @param {Event} event */
    function send(event) {
      event.preventDefault();
      const words = input.value.trim();
      setAttribute(input, "aria-invalid", words ? null : "true");
      if (!words) {
        setText(alert, t("reading.missing"));
        return input.focus();
      }
      reason = words;
      dialog.close();
    }
  });
}
