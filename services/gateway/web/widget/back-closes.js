// Back closes a panel that fills the screen. It has an entry of its own in the history, a copy of the page's with a mark.
const MARK = "eloketChat";

const marked = () => history.state?.[MARK] === true;

/**
 * Keeps the entry of a panel: `enter` at its opening, `leave` at its closing.
 *
 * The address does not change, and Back goes to the entry that the page's router shows: it has nothing to do.
 * `leave(false)` goes nowhere: the page may be on its way to another entry. Back then needs one press more.
 *
 * @param {{close(): void, signal: AbortSignal}} options
 */
export function backCloses({ close, signal }) {
  let entered = false;
  const leave = (/** @type {boolean} */ back) => {
    if (!entered || !marked()) return;
    if (back) return history.back();
    const { [MARK]: _, ...state } = history.state;
    history.replaceState(Object.keys(state).length ? state : null, "");
    entered = false;
  };
  addEventListener(
    "popstate",
    () => {
      if (!entered || marked()) return;
      entered = false;
      close();
    },
    { signal },
  );
  signal.addEventListener("abort", () => leave(false));
  return {
    enter: () => {
      try {
        const { state } = history;
        if (!marked()) history.pushState({ ...(typeof state === "object" && state), [MARK]: true }, "");
        entered = true;
      } catch {
        // a page without a history, or with too many entries for this browser
      }
    },
    leave,
  };
}
