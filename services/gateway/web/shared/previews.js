/**
 * Pictures and PDFs in place: small ones that the server has drawn, and a larger view on a press. They are drawn on a canvas, which the
 * Content-Security-Policy of no page forbids; the file itself is never opened here.
 */
import { h, setText } from "./dom.js";

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const PDF = "application/pdf";
const REMEMBERED = 100; // small ones

/**
 * RULES: whether the server may have a preview of this file.
 *
 * @param {Attachment} file
 */
export const hasPreview = ({ content_type = "" }) => content_type === PDF || PICTURES.includes(content_type);

/** @param {Blob} png @param {string} [name] */
async function canvasOf(png, name) {
  const bitmap = await createImageBitmap(png);
  const spoken = name ? { role: "img", "aria-label": name } : { "aria-hidden": "true" };
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height, ...spoken });
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

/**
 * Return `show(file, place)`, which puts the small picture of a file in `place` where there is one.
 *
 * `ask(file, size)` fetches the PNG, or resolves to null; `t` has the texts `previewPicture`, `previewPage`, `previewOpen`, `previewFailed`,
 * `previewSave` and `previewClose`; `save(file)` downloads the file; `within` takes the larger view, and `news` stands in it.
 *
 * @param {PreviewOptions} options
 */
export function previews({ t, ask, save, within, news }) {
  /** @type {Map<string, Promise<Blob | null>>} */
  const kept = new Map();

  /** @param {Attachment} file */
  const nameOf = ({ name, content_type }) => t(content_type === PDF ? "previewPage" : "previewPicture", { name });

  /** @param {Attachment} file */
  function small(file) {
    const found = kept.get(file.id);
    if (found) return found;
    const asked = ask(file, "small").catch(() => null);
    kept.set(file.id, asked);
    asked.then((png) => png || kept.delete(file.id));
    for (const id of kept.keys()) if (kept.size > REMEMBERED) kept.delete(id);
    return asked;
  }

  /** @param {Attachment} file */
  async function view(file) {
    const place = h("div", { class: "view-place", role: "status" }, t("previewOpen", { name: file.name }));
    const shut = h("button", { type: "button", class: "tool", hook: "preview-close", onclick: () => dialog.close() }, t("previewClose"));
    const get = h("button", { type: "button", class: "tool", hook: "preview-save", onclick: () => save(file) }, t("previewSave"));
    const dialog = h(
      "dialog",
      { class: "view", "aria-label": nameOf(file), hook: "preview-view" },
      news?.(),
      place,
      h("div", { class: "row" }, get, shut),
    );
    dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation(); // the panel around it stays open
      dialog.close();
    });
    dialog.addEventListener("close", () => dialog.remove());
    within().append(dialog);
    dialog.showModal();
    const png = await ask(file, "large").catch(() => null);
    const canvas = png && (await canvasOf(png, nameOf(file)).catch(() => null));
    if (canvas) place.replaceChildren(canvas);
    else setText(place, t("previewFailed"));
  }

  return async (/** @type {Attachment} */ file, /** @type {HTMLElement} */ place) => {
    const png = await small(file);
    const canvas = png && (await canvasOf(png).catch(() => null));
    if (!canvas) return;
    place.replaceChildren(
      h(
        "button",
        {
          type: "button",
          class: "preview",
          hook: "chat-preview",
          "aria-label": nameOf(file),
          "aria-haspopup": "dialog",
          onclick: () => view(file),
        },
        canvas,
      ),
    );
  };
}
