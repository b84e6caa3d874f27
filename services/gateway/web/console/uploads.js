/** Files on their way up, each with progress and cancel. They go on while another chat is in front. */
import { upload } from "./api.js";
import { h, setText } from "../shared/dom.js";
import { button } from "./dom.js";
import { size } from "./format.js";

/** @typedef {{chat: string, begin(done: () => void): unknown, task: ReturnType<typeof upload> | null}} Item a file on its way up */

const MIB = 1024 * 1024;

/**
 * RULES: what files may weigh, as `GET /api/settings` told it, else the defaults of the service: `{bytes, total}` in bytes, `count` files of a chat.
 *
 * @param {Partial<PageSettings> | null} told
 */
export const limitsOf = (told) => ({
  bytes: told?.attachment_bytes ?? 10 * MIB,
  count: told?.attachment_count ?? 20,
  total: told?.attachment_total ?? 50 * MIB,
});

/**
 * RULES: why a file was refused, as the name of a text: the server's `reason` where this page knows it, else its `code`.
 *
 * @param {Translator} t
 * @param {{code: string, reason?: string | null}} answer
 */
export function refusalOf(t, { code, reason }) {
  return [reason, code, "other"].find((name) => name && t.has(`attach.${name}`));
}

/**
 * `limits` as `limitsOf` makes them; the server has the last word.
 * `{place(chat), add(t, chat, files), busy(), stop()}`; `onDone(chat, attachment)` in the order in which the files of a chat were chosen, `announce(words)`.
 * After `stop()` nothing goes up, nothing is said, and nothing is `onDone`.
 * A chat's files go up one at a time; one that is refused or cancelled does not hold the next ones back.
 *
 * @param {{limits: {bytes: number, count: number, total: number}, onDone(chat: string, file: Attachment): void, announce(words: string): void}} options
 */
export function uploader({ limits, onDone, announce }) {
  /** @type {Map<string, HTMLElement>} */
  const places = new Map();
  /** @type {Map<string, Item[]>} */
  const lines = new Map(); // chat → the files that are still to go up; the first is under way
  let stopped = false;

  /** @param {string} chat */
  function place(chat) {
    const found = places.get(chat) ?? h("div", { class: "uploads" });
    places.set(chat, found);
    return found;
  }

  /** @param {Translator} t @param {string} chat @param {File[]} files */
  function add(t, chat, files) {
    for (const file of files) append(row(t, chat, file));
  }

  /** @param {Item} item */
  function append(item) {
    const line = lines.get(item.chat) ?? [];
    lines.set(item.chat, [...line, item]);
    if (!line.length) next(item.chat);
  }

  /** @param {string} chat */
  function next(chat) {
    const item = lines.get(chat)?.[0];
    if (!item) return lines.delete(chat);
    item.begin(() => {
      lines.set(
        chat,
        (lines.get(chat) ?? []).filter((one) => one !== item),
      );
      next(chat);
    });
  }

  /** @param {Translator} t @param {string} chat @param {File} file */
  function row(t, chat, file) {
    const name = file.name;
    const words = h("span");
    const acts = h("span", { class: "upload-acts" });
    const progress = h("progress", { max: "1", value: "0", "aria-label": t("attach.uploading", { name }) });
    const element = h("div", { class: "upload", hook: "upload" }, words, acts, progress);
    /** @type {Item} */
    const item = { chat, begin, task: null };
    place(chat).append(element);
    wait();

    function wait() {
      element.classList.remove("failed");
      progress.hidden = false;
      progress.value = 0;
      setText(words, t("attach.uploading", { name }));
      acts.replaceChildren(button(t("attach.cancel"), { class: "small", "aria-label": t("attach.cancel_of", { name }), onclick: cancel }));
    }

    function cancel() {
      if (item.task) return item.task.cancel();
      lines.set(
        chat,
        (lines.get(chat) ?? []).filter((one) => one !== item),
      );
      gone(t("attach.cancelled", { name }));
    }

    /** @param {string} said */
    function gone(said) {
      element.remove();
      announce(said);
    }

    /** @param {() => void} done */
    async function begin(done) {
      const problem = file.size > limits.bytes ? "too_large" : file.size === 0 ? "empty" : null;
      if (problem) return (fail({ code: problem }), done());
      item.task = upload(chat, file, (share) => (progress.value = share));
      const answer = await item.task.done;
      item.task = null;
      if (stopped) return;
      if (answer.ok) (element.remove(), onDone(chat, answer.body));
      else if (answer.code === "cancelled") gone(t("attach.cancelled", { name }));
      else fail(answer);
      done();
    }

    /** @param {{code: string, reason?: string | null}} answer */
    function fail(answer) {
      element.classList.add("failed");
      progress.hidden = true;
      setText(
        words,
        t("attach.failed", {
          name,
          reason: t(`attach.${refusalOf(t, answer)}`, {
            one: size(limits.bytes, t.language),
            count: limits.count,
            all: size(limits.total, t.language),
          }),
        }),
      );
      announce(words.textContent);
      const again = () => (wait(), append(item));
      acts.replaceChildren(
        button(t("attach.again"), {
          class: "small",
          hook: "upload-again",
          "aria-label": t("attach.again_of", { name }),
          onclick: again,
        }),
        button(t("chat.discard"), {
          class: "small",
          "aria-label": t("attach.discard_of", { name }),
          onclick: () => element.remove(),
        }),
      );
    }

    return item;
  }

  // What waits goes first: the end of one upload begins the next.
  function stop() {
    stopped = true;
    const first = [...lines.values()].flatMap((line) => line.slice(0, 1));
    lines.clear();
    for (const item of first) item.task?.cancel();
  }

  const busy = () => [...lines.values()].some((line) => line.length > 0);
  return { place, add, busy, stop };
}
