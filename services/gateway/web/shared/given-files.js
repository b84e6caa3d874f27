/** Files that are pasted or dropped: a way to attach beside the button, which is there for everybody. */

/** @param {DataTransfer | null} data */
const hasFiles = (data) => Boolean(data?.types.includes("Files"));

/**
 * Call `onFiles` with what is dropped on `target` or pasted in it, while `allowed()`. A text that is pasted stays a text, also where a
 * program offers a picture of it beside.
 *
 * @param {HTMLElement} target
 * @param {{allowed(): boolean, onFiles(files: File[]): void}} options
 */
export function takeGivenFiles(target, { allowed, onFiles }) {
  /** @param {DragEvent} event */
  const over = (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault(); // else the browser leaves the page for the file
    if (event.dataTransfer) event.dataTransfer.dropEffect = allowed() ? "copy" : "none";
    target.classList.toggle("dropping", allowed());
  };
  target.addEventListener("dragenter", over);
  target.addEventListener("dragover", over);
  target.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!target.contains(/** @type {Node | null} */ (relatedTarget))) target.classList.remove("dropping");
  });
  target.addEventListener("drop", (event) => {
    target.classList.remove("dropping");
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    if (allowed()) onFiles([...(event.dataTransfer?.files ?? [])]);
  });
  target.addEventListener("paste", (event) => {
    const data = event.clipboardData;
    if (!data?.files.length || data.types.includes("text/plain") || !allowed()) return;
    event.preventDefault();
    onFiles([...data.files]);
  });
}
