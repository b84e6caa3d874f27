// Files that are pasted in the conversation or dropped on it.
import { setText } from "../shared/dom.js";
import { takeGivenFiles } from "../shared/given-files.js";
import { loadPart } from "./load-part.js";

const LOOKS = ".dropping { outline: 3px dashed var(--link); outline-offset: -6px; }";

/**
 * Takes them as the button does, and says so; the hint of the bar tells that it is possible.
 *
 * @param {WidgetPart} options
 */
export async function given({ record, element, bar, announce }) {
  const t = await loadPart(element, "given", LOOKS);
  let closed = false;
  takeGivenFiles(element, {
    allowed: () => Boolean(record.chat_id) && !closed,
    onFiles: (files) => {
      announce(files.map(({ name }) => t("given", { name })).join(" "));
      bar.add(files);
    },
  });
  setText(/** @type {Element} */ (element.querySelector("#hint")), `${t("hint")} ${t("givenHint")}`);
  bar.attach.title += `. ${t("givenHint")}`;
  return (/** @type {Conversation | undefined} */ chat) => void (closed = Boolean(chat?.closed));
}
