// Keeps the launcher and the panel off what has the focus in the page (WCAG 2.2, 2.4.11). Loaded with the first focus there.
const LARGEST = 0.5; // of the height of the screen: what is larger is a part of the page and no field
const GAP = 4; // pixels

/** What has the focus, in a component of the page too. */
function focused() {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at;
}

/**
 * Moves what is in the way for as long as it is: the launcher below the screen; the panel to the other side, else it
 * shows its head alone, at the bottom or at the top.
 *
 * @param {HTMLElement} host
 * @param {HTMLElement} frame
 * @param {AbortSignal} signal
 */
export function avoidFocus(host, frame, signal) {
  let due = 0;

  function look() {
    due = 0;
    const field = document.activeElement === host ? null : focused();
    delete frame.dataset.avoid;
    if (!field || field === document.body || field === document.documentElement) return;
    const there = field.getBoundingClientRect();
    if (there.height > innerHeight * LARGEST) return;
    const covered = () => {
      const box = frame.querySelector("dialog[open], .launcher:not([hidden])")?.getBoundingClientRect();
      return (
        box?.width &&
        box.left - GAP < there.right &&
        box.right + GAP > there.left &&
        box.top - GAP < there.bottom &&
        box.bottom + GAP > there.top
      );
    };
    const ways = frame.querySelector("dialog[open]") ? ["other", "fold", "top"] : ["away"];
    for (const way of ways) {
      if (!covered()) return;
      frame.dataset.avoid = way;
    }
  }

  const soon = () => {
    due ||= requestAnimationFrame(look);
  };
  for (const type of ["focusin", "focusout", "scroll", "resize"]) addEventListener(type, soon, { capture: true, passive: true, signal });
  for (const type of ["resize", "scroll"]) visualViewport?.addEventListener(type, soon, { signal });
  for (const name of ["ready", "button", "opened", "closed"]) host.addEventListener(`eloket-chat-${name}`, soon, { signal });
  signal.addEventListener("abort", () => cancelAnimationFrame(due));
  look();
}
