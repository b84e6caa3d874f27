// What a citizen may do after a chat: say how it was, and get a code to download it on another device. Loaded at the end of a chat.
import { h, setAttribute, setText } from "../shared/dom.js";
import { timeFormat } from "../shared/format.js";
import { languageOf, loadPart } from "./load-part.js";

const LOOKS = `
.chat > .ended { position: relative; flex: 0 1 auto; min-height: 9rem; overflow-y: auto; }
.after { display: grid; gap: .75rem; margin-top: .75rem; }
.after details { border: 1px solid var(--line); border-radius: .4rem; background: var(--paper); }
.after summary { padding: .55rem .8rem; cursor: pointer; }
.after summary:focus-visible { outline: 3px solid var(--link); outline-offset: 1px; }
.after form { display: grid; gap: .75rem; padding: 0 .8rem .8rem; }
.after fieldset { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 0; padding: 0; border: 0; }
.after legend { padding: 0; font-weight: 600; }
.after label { display: inline-flex; gap: .4rem; align-items: center; min-height: 2rem; }
.after input { width: 1.15rem; height: 1.15rem; margin: 0; accent-color: var(--press); }
.code { font: 600 1.25rem/1.4 ui-monospace, monospace; letter-spacing: .05em; user-select: all; overflow-wrap: anywhere; }
.later { padding: 0 .8rem .8rem; }
.later p { margin-bottom: .4rem; }
`;
const ANSWER = 15_000; // ms
const SCORES = [1, 2, 3, 4, 5];

/**
 * Sends one request about a chat: its answer, or a code of what went wrong.
 *
 * @param {string} base
 * @param {ChatRecord} record
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<{body?: any, code?: string}>}
 */
export async function ask(base, record, path, body) {
  const headers = { Authorization: `Bearer ${record.token}`, ...(body && { "Content-Type": "application/json" }) };
  try {
    const answer = await fetch(`${base}/api/chats/${record.chat_id}/${path}`, {
      method: "POST",
      headers,
      body: body && JSON.stringify(body),
      credentials: "omit",
      signal: AbortSignal.timeout(ANSWER),
    });
    if (answer.status === 204) return {};
    const told = await answer.json();
    return answer.status === 201 ? { body: told } : { code: typeof told.code === "string" ? told.code : "unavailable" };
  } catch {
    return { code: "network" };
  }
}

/**
 * The words for what went wrong, as a key of the texts.
 *
 * @param {string} [code]
 */
export const problemKey = (code = "") =>
  code === "rate_limited" ? "busy" : ["unauthenticated", "no_such_chat"].includes(code) ? "over" : "askFailed";

/**
 * The rating and the code, below the end of a chat; returns what is told each change.
 *
 * @param {WidgetPart} options
 */
export async function after({ base, record, element }) {
  const t = await loadPart(element, "after", LOOKS);
  const lang = languageOf(element);
  const box = h("div", { class: "after" }, rating(), later());
  element.querySelector(".ended")?.append(box);

  function rating() {
    /** @param {string} name @param {string} legend @param {[string, string][]} choices */
    const question = (name, legend, choices) =>
      h(
        "fieldset",
        {},
        h("legend", {}, t(legend)),
        ...choices.map(([value, words]) => h("label", {}, h("input", { type: "radio", name, value }), words)),
      );
    const words = h("p", { role: "status" });
    const send = h("button", { class: "primary", hook: "rating-send" }, t("rate"));
    const helped = question("helped", "helped", [
      ["yes", t("helpedYes")],
      ["partly", t("helpedPartly")],
      ["no", t("helpedNo")],
    ]);
    const score = question(
      "score",
      "score",
      SCORES.map((n) => [String(n), n === 1 ? t("worst") : n === 5 ? t("best") : String(n)]),
    );
    const form = h("form", { hook: "rating" }, helped, score, words, send);
    const details = h("details", {}, h("summary", { hook: "rating-open" }, t("rateOpen")), form);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (send.getAttribute("aria-disabled")) return;
      const given = new FormData(form);
      if (!given.has("helped") && !given.has("score")) return setText(words, t("choose"));
      const [helpedBy, points] = [given.get("helped"), Number(given.get("score"))];
      setAttribute(send, "aria-disabled", "true");
      const { code } = await ask(base, record, "rating", { ...(helpedBy && { helped: helpedBy }), ...(points && { score: points }) });
      setAttribute(send, "aria-disabled", null);
      setText(words, t(code ? problemKey(code) : "thanks"));
      if (code) return;
      for (const part of [helped, score, send]) setAttribute(part, "hidden", true);
      setAttribute(words, "tabindex", -1);
      words.focus();
    });
    return details;
  }

  function later() {
    const status = h("div", { class: "later", role: "status" });
    const button = h("button", { class: "tool", hook: "code-create", type: "button", onclick: create }, t("code"));
    async function create() {
      if (button.getAttribute("aria-disabled")) return;
      setAttribute(button, "aria-disabled", "true");
      const { body, code } = await ask(base, record, "download-code");
      setAttribute(button, "aria-disabled", null);
      const until = new Date(body?.expires_at ?? NaN);
      if (code || typeof body?.code !== "string" || Number.isNaN(until.getTime())) {
        status.replaceChildren(h("p", {}, t(problemKey(code))));
        return;
      }
      const address = new URL(/^\/(?!\/)/.test(body.url) ? body.url : "/gesprek", base);
      address.searchParams.set("lang", lang);
      const date = timeFormat(lang, { dateStyle: "full" }).format(until);
      status.replaceChildren(
        h("p", { class: "code", hook: "code" }, body.code),
        h("p", {}, t("codeUse", { date })),
        h(
          "p",
          {},
          h(
            "a",
            { href: address.href, target: "_blank", rel: "noopener" },
            `${address.host}${address.pathname}`,
            h("span", { class: "sr" }, ` ${t("newTab")}`),
          ),
        ),
      );
      status.scrollIntoView({ block: "nearest" });
    }
    return h("div", {}, button, status);
  }

  return (/** @type {Conversation | undefined} */ chat) => {
    if (!chat) box.remove();
  };
}
