// Pictures and PDFs in place, loaded at the first of them.
import { previews } from "../shared/previews.js";
import { loadPart } from "./load-part.js";

const WAIT = 30_000; // ms
const LOOKS = `
.preview { display: block; width: fit-content; height: auto; margin-top: .4rem; padding: 0; border: 1px solid var(--edge); border-radius: .3rem; overflow: hidden; background: #fff; }
.preview canvas { display: block; max-width: 100%; max-height: 12rem; }
.view { max-width: min(60rem, 96vw); max-height: 94vh; padding: .75rem; border: 1px solid var(--edge); border-radius: .5rem; background: var(--paper); color: var(--ink); }
.view::backdrop { background: #000a; }
.view canvas { display: block; max-width: 100%; max-height: calc(94vh - 6rem); background: #fff; }
.view .row { margin-top: .6rem; justify-content: flex-end; }
.view .tool { border-color: var(--edge); }
`;

/**
 * Return what puts the picture of a file in its place.
 *
 * @param {{base: string, record: ChatRecord, element: HTMLElement, save(file: Attachment): void}} options
 */
export async function widgetPreviews({ base, record, element, save }) {
  const t = await loadPart(element, "previews", LOOKS);
  /** @param {Attachment} file @param {"small" | "large"} size */
  const ask = async ({ id }, size) => {
    const answer = await fetch(`${base}/api/chats/${record.chat_id}/attachments/${id}/preview?size=${size}`, {
      headers: { Authorization: `Bearer ${record.token}` },
      credentials: "omit",
      signal: AbortSignal.timeout(WAIT),
    });
    return answer.status === 200 ? answer.blob() : null; // 204: it has none
  };
  return previews({ t, ask, save, within: () => element });
}
