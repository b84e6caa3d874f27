/** The chats about the same form that this agent may read, below what is known of the open chat. */
import * as api from "./api.js";
import { h } from "../shared/dom.js";
import { clock } from "./format.js";
import { addressOf } from "./past-filters.js";

const MOST = 5; // in the list; the page of past chats has all of them

/**
 * RULES: what a form is found by; null where the page said nothing of it.
 *
 * @param {{id?: string | null, title?: string | null, url?: string | null} | null} form
 */
export const formOf = (form) => form?.id ?? form?.url ?? form?.title ?? null;

/**
 * A block that folds. It asks the server when it is opened; null for a chat whose form is not known.
 *
 * @param {Translator} t
 * @param {{chat_id: string, form: {id?: string, title?: string, url?: string} | null}} chat
 */
export function earlierChats(t, { chat_id, form: about }) {
  const form = formOf(about) ?? "";
  if (!form) return null;
  const place = h("div", {});
  const block = h("details", { class: "earlier", hook: "earlier-chats", ontoggle: toggled }, h("summary", {}, t("past.earlier")), place);

  async function toggled() {
    if (!block.open) return place.replaceChildren();
    place.replaceChildren(h("p", { role: "status" }, t("overview.loading")));
    const answer = await api.pastChats({ form, limit: MOST + 1 });
    if (!block.open) return;
    if (!answer.ok) return place.replaceChildren(h("p", { role: "alert" }, t("overview.failed")));
    const found = /** @type {PastChat[]} */ (answer.body?.chats ?? []).filter((one) => one.chat_id !== chat_id).slice(0, MOST);
    if (!found.length) return place.replaceChildren(h("p", {}, t("past.earlier_none")));
    place.replaceChildren(
      h("ul", {}, ...found.map((one) => h("li", {}, h("bdi", {}, one.name || t("item.citizen")), ", ", at(one.ended_at)))),
      h("a", { href: addressOf({ form }) }, t("past.earlier_all")),
    );
  }

  /** @param {string} time */
  const at = (time) => h("time", { datetime: time }, clock(time, t.language, new Date()));

  return block;
}
