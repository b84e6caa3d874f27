/** Files on their way up, each with progress and cancel. They go on while another chat is in front. */
import { upload } from "./api.js";
import { button, el, text } from "./dom.js";
import { known } from "./texts.js";

const LARGEST = 10 * 1024 * 1024; // bytes; the server has the last word

/** `{place(chat), add(t, chat, file), busy()}`; `onDone(chat, attachment)`, `onFailed(words)`. `place` is the element that shows a chat's uploads. */
export function uploader({ onDone, announce }) {
  const places = new Map();
  const running = new Set();

  function place(chat) {
    if (!places.has(chat)) places.set(chat, el("div", { class: "uploads" }));
    return places.get(chat);
  }

  function add(t, chat, file) {
    const problem = file.size > LARGEST ? "too_large" : file.size === 0 ? "empty" : null;
    const words = el("span", {}, t("attach.uploading", { name: file.name }));
    const cancel = button(t("attach.cancel"), { class: "small" });
    const progress = el("progress", { max: "1", value: "0", "aria-label": t("attach.uploading", { name: file.name }) });
    const row = el("div", { class: "upload" }, words, cancel, progress);
    place(chat).append(row);
    if (problem) return fail(problem);
    const task = upload(chat, file, (share) => (progress.value = share));
    running.add(task);
    cancel.addEventListener("click", task.cancel);
    task.done.then(({ ok, body, code }) => {
      running.delete(task);
      if (ok) return row.remove(), onDone(chat, body);
      if (code === "cancelled") return row.remove(), announce(t("attach.cancelled", { name: file.name }));
      fail(code);
    });

    function fail(code) {
      row.classList.add("failed");
      progress.remove();
      text(words, t("attach.failed", { name: file.name, reason: known(t, "attach", code) }));
      announce(words.textContent);
      cancel.replaceWith(button(t("chat.discard"), { class: "small", on: { click: () => row.remove() } }));
    }
  }

  return { place, add, busy: () => running.size > 0, stop: () => running.forEach((task) => task.cancel()) };
}
