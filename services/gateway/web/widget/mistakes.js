// Mistakes of a page that embeds the widget: one line in the browser's console each, and a page without a chat is left alone.
import { h } from "../shared/dom.js";

const ANSWER = 4_000; // ms

/**
 * Looks whether it is a mistake of the page, says so, and gives the element its own content back.
 *
 * `second`: there is another element. `department`: the server knows none of this name. `origin`: the server answers,
 * but not this page for this department; a browser says the same of a server that is out of reach.
 *
 * @param {ChatElement} host
 * @param {string} base
 * @param {string} kind
 */
export async function mistake(host, base, kind) {
  const warn = (/** @type {string} */ text) => console.warn(`eloket-chat: ${text}`);
  if (kind === "second") return warn("a page has one <eloket-chat>; this one is not shown.");
  const department = host.getAttribute("department") ?? "";
  const { frame } = host;
  /** @param {string} path */
  const ask = (path) => fetch(base + path, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(ANSWER) });
  const button = "/api/button" + (department && `?department=${encodeURIComponent(department)}`);
  try {
    if (kind === "department") {
      const answer = await ask(button);
      if (answer.ok || (await answer.json()).code !== "unknown_department") return;
    } else if (
      !(await ask("/widget.js")).ok ||
      (await ask(button).then(
        () => true,
        () => false,
      ))
    )
      return;
  } catch {
    return;
  }
  if (host.frame !== frame) return;
  if (kind === "department") warn(`${base} has no department "${department}". The element shows its own content.`);
  else {
    const whose = department ? `department "${department}"` : "the default department";
    warn(`${base} does not list ${location.origin} among the origins of ${whose}. The element shows its own content.`);
  }
  host.stop?.();
  host.shadowRoot.replaceChildren(h("slot"));
}
