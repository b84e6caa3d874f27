// Who uses what the citizen writes, why and for how long: the department's words, above the conversation (GDPR, article 13).
import { h, rootOf } from "../shared/dom.js";
import { languageOf, loadPart } from "./load-part.js";

const LOOKS = `
.privacy { padding: .55rem 1rem; border-bottom: 1px solid var(--line); color: var(--muted); font-size: .875rem; }
.short .privacy { display: none; }
.privacy a { white-space: nowrap; }
`;
const ANSWER = 8_000; // ms

/**
 * The notice in an answer of `GET /api/departments/{department}`, or null when it has none.
 *
 * @param {any} told
 */
export function noticeOf(told) {
  const { text, url } = told?.privacy ?? {};
  if (typeof text !== "string" || !text) return null;
  return { text, url: /^https?:\/\//.test(url) ? url : null };
}

/**
 * Shows the notice of the department beside a chat; returns what is told each change.
 *
 * @param {WidgetPart} options
 */
export async function privacy({ base, element }) {
  const lang = languageOf(element);
  const host = /** @type {ChatElement} */ (rootOf(element).host);
  const department = host.button?.department ?? host.getAttribute("department");
  if (!department) return () => {};
  const address = `${base}/api/departments/${encodeURIComponent(department)}?lang=${lang}`;
  const answer = await fetch(address, { credentials: "omit", signal: AbortSignal.timeout(ANSWER) });
  const notice = answer.ok ? noticeOf(await answer.json()) : null;
  if (!notice && answer.status >= 500) throw new Error("it is asked again");
  if (!notice) return () => {};
  const t = await loadPart(element, "privacy", LOOKS);
  const link =
    notice.url && h("a", { href: notice.url, target: "_blank", rel: "noopener" }, t("more"), h("span", { class: "sr" }, ` ${t("newTab")}`));
  const box = h("p", { class: "privacy", hook: "chat-privacy" }, notice.text, link && " ", link);
  element.querySelector(".status")?.after(box);
  return (/** @type {Conversation | undefined} */ chat) => {
    if (!chat) box.remove();
  };
}
