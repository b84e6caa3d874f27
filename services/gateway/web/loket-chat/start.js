// The first press: a form that demands nothing, and one chat however often it is sent.
import { h, say, set } from "./dom.js";
import { newId } from "./session.js";

const KEY_LASTS = 9 * 60_000; // ms

/** Asks for one chat, however often: `{record}` or `{code, seconds, infofiche}`. */
export async function startChat(base, store, details) {
  const sent = JSON.stringify(details);
  const old = store.read("start");
  const same = old && old.sent === sent && Date.now() - old.at < KEY_LASTS; // another body needs another key
  const start = same ? old : { key: newId(), at: Date.now(), sent };
  store.write("start", start);
  const headers = { "Content-Type": "application/json", "Idempotency-Key": start.key };
  const request = { method: "POST", headers, body: sent, credentials: "omit", signal: AbortSignal.timeout(20_000) };
  try {
    const answer = await fetch(`${base}/api/chats`, request);
    const body = await answer.json().catch(() => ({}));
    if (answer.status < 500 && answer.status !== 429) store.write("start", null);
    if (answer.ok) return { record: body };
    const seconds = Number(answer.headers.get("Retry-After")) || 5;
    return { code: body.code ?? "unavailable", seconds, infofiche: body.infofiche_url };
  } catch {
    return { code: "unavailable" };
  }
}

/** The form; `onStart({name, question})` resolves to what `startChat` says, `onInfo(path)` gives an address. */
export function startForm({ t, onStart, onInfo }) {
  const name = h("input", { id: "name", name: "name", maxlength: 100, autocomplete: "name", dir: "auto" });
  const question = h("textarea", { id: "question", name: "question", rows: 4, maxlength: 4000, dir: "auto" });
  const submit = h("button", { class: "primary", hook: "start-submit" }, t("start"));
  const info = h("a", { target: "_blank", rel: "noopener" }, t("infofiche"), " ", h("small", {}, t("newTab")));
  const notice = h("p", { class: "notice", role: "alert", hidden: true });
  const form = h("form", { class: "start", novalidate: true },
    h("p", {}, t("intro")), notice,
    h("label", { for: "name" }, t("name")), name,
    h("label", { for: "question" }, t("question")), question,
    submit);

  const tell = (text, infofiche) => {
    set(notice, "hidden", !text);
    set(info, "href", infofiche);
    notice.replaceChildren(text, ...(infofiche ? [" ", info] : []));
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.getAttribute("aria-disabled")) return;
    set(submit, "aria-disabled", "true");
    say(submit, t("starting"));
    tell("");
    const given = { name: name.value.trim() || undefined, question: question.value.trim() ? question.value : undefined };
    const { code, seconds, infofiche } = await onStart(given);
    set(submit, "aria-disabled", null);
    say(submit, t("start"));
    if (code === "button_blue") tell(t("startBlue"), onInfo(infofiche));
    else if (code === "rate_limited") tell(t("startBusy", { n: seconds }));
    else if (code) tell(t("startFailed"));
  });
  return { form, tell };
}
