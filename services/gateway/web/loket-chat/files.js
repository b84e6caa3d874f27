// Files up and down, loaded at the first of them. The token goes in a header, never in an address.
import { h, say } from "./dom.js";
import { dressed } from "./dressed.js";

const LARGEST = 10 * 1024 * 1024; // bytes; the server has the last word
const LOOKS = `
.upload { display: flex; flex-wrap: wrap; align-items: center; gap: .1rem .6rem; padding: .35rem 1rem; border-top: 1px solid var(--line); font-size: .875rem; }
progress { flex: 1; min-width: 4rem; accent-color: var(--press); }
`;
const AGAIN = ["network", "rate_limited", "unavailable"];

const problemCode = (text) => {
  try {
    return JSON.parse(text).code ?? "refused";
  } catch {
    return "network";
  }
};

/** Uploads one file: `{done, cancel}`; done resolves to `{attachment}` or `{code}`; onProgress: 0 to 1. */
export function upload({ base, record, file, onProgress }) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve) => {
    request.open("POST", `${base}/api/chats/${record.chat_id}/attachments`);
    request.setRequestHeader("Authorization", `Bearer ${record.token}`);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onload = () =>
      resolve(request.status === 201 ? { attachment: JSON.parse(request.responseText) } : { code: problemCode(request.responseText) });
    request.onerror = request.ontimeout = () => resolve({ code: "network" });
    request.onabort = () => resolve({ code: "cancelled" });
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
  });
  return { done, cancel: () => request.abort() };
}

/** Downloads with the chat's token; what to say: `[words, wrong]`. */
export async function save({ base, record, path, name, element }) {
  const t = await dressed(element, "files", LOOKS);
  return (await download({ base, record, path, name })) ? [t("saved")] : [t("saveFailed"), true];
}

async function download({ base, record, path, name }) {
  try {
    const headers = { Authorization: `Bearer ${record.token}` };
    const answer = await fetch(`${base}/api/chats/${record.chat_id}/${path}`, { headers, credentials: "omit" });
    if (!answer.ok) return false;
    const address = URL.createObjectURL(await answer.blob());
    const link = document.createElement("a");
    link.href = address;
    link.download = fileName(answer.headers.get("Content-Disposition")) ?? name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    return true;
  } catch {
    return false;
  }
}

/** The name in a Content-Disposition (RFC 6266), or null. */
export function fileName(disposition) {
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? "");
  const plain = /filename="?([^";]+)"?/i.exec(disposition ?? "");
  try {
    return encoded ? decodeURIComponent(encoded[1]) : plain ? plain[1] : null;
  } catch {
    return null;
  }
}

/** The uploads of a chat, a row each in `list`: `add(file)`, `stop()`. */
export async function uploads({ base, record, session, announce, list, focus }) {
  const t = await dressed(list, "files", LOOKS);
  const running = new Set();
  let line = Promise.resolve(); // one at a time

  function add(file) {
    const bar = h("progress", { max: 1, value: 0, "aria-label": file.name });
    const words = h("span", { class: "words" });
    const stop = h("button", { class: "text", type: "button" }, t("cancel"));
    const row = h("div", { class: "upload" }, h("bdi", { class: "name" }, file.name), bar, words, stop);
    const task = { cancelled: false, cancel: () => (row.hidden = task.cancelled = true) };
    stop.onclick = () => task.cancel();
    list.append(row);
    running.add(task);
    const fail = (code) => {
      const reason = t(t.has(code) ? code : "refused");
      bar.remove();
      say(words, reason);
      announce(`${file.name}: ${reason}`);
      say(stop, t("discard"));
      const leave = () => (row.remove(), focus());
      stop.onclick = leave;
      if (AGAIN.includes(code))
        stop.before(h("button", { class: "text", type: "button", onclick: () => (leave(), add(file)) }, t("retry")));
    };
    const run = async () => {
      if (task.cancelled) return "cancelled";
      const { done, cancel } = upload({ base, record, file, onProgress: (part) => {
        bar.value = part;
        say(words, `${Math.round(part * 100)} %`);
      } });
      task.cancel = cancel;
      const { attachment, code } = await done;
      if (attachment) session.attach(attachment);
      return code;
    };
    const end = (code) => {
      running.delete(task);
      if (code && code !== "cancelled") return fail(code);
      const focused = row.contains(row.getRootNode().activeElement);
      row.remove();
      if (code) announce(`${file.name}: ${t("cancelled")}`);
      if (focused) focus();
    };
    if (file.size > LARGEST) end("too_large");
    else line = line.then(run).then(end, () => end("network"));
  }

  return { add, stop: () => running.forEach((task) => task.cancel()) };
}
