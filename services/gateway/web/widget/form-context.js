// What the page says of the form that the citizen has open.
const LONGEST = 200; // characters
const LONGEST_TITLE = 500;

/**
 * The form that the citizen has open: what the page set, cut to what the server takes.
 *
 * @param {ChatElement} host
 * @param {EloketChatForm} [more]
 */
export function formOf(host, more) {
  const { origin, pathname } = location;
  /** @param {string} name */
  const attribute = (name) => host.getAttribute(name) ?? undefined;
  const given = { id: attribute("form-id"), title: attribute("form-title") ?? document.title, ...host.context, ...more };
  // a page may have cut a text within a character
  /** @param {"id" | "title" | "step" | "field" | "error"} name */
  const text = (name, most = LONGEST) =>
    [...`${given[name] ?? ""}`.replace(/[\0\ud800-\udfff]/gu, "")].slice(0, most).join("").trim() || undefined;
  return {
    id: text("id"),
    title: text("title", LONGEST_TITLE),
    url: /^http/.test(origin) ? origin + pathname : undefined,
    step: text("step"),
    field: text("field"),
    error: text("error"),
  };
}

/**
 * Where in the form the citizen is, in words; undefined when the page did not say.
 *
 * @param {EloketChatForm} form
 */
export const placeOf = ({ step, field, error }) => [step, field, error].filter(Boolean).join(", ") || undefined;
