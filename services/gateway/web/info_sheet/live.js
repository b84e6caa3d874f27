/** Keeps the state line of the info sheet current: hears of a change of the button, then asks the server for the words. */
import { followButton } from "../shared/button-status.js";

const SPREAD = 2_000; // ms over which the open pages ask, so that one change is not one burst
const AGAIN = 10_000; // ms until the words are asked for once more, doubling
const LONGEST = 120_000;
const ANSWER = 10_000;
const DEAF = 40_000; // ms without a sign of the server: the page is no longer live, and says so

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id)); // the page has it
const [state, asOf, notLive] = [at("state"), at("as-of"), at("not-live")];
/** @type {ReturnType<typeof setTimeout> | null} */
let asked = null;
let misses = 0;
let lost = false;

// What a proxy or a sign-in page answers instead of us is no info sheet.
async function refresh() {
  asked = null;
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html" },
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWER),
    });
    const page = new DOMParser().parseFromString(answer.ok ? await answer.text() : "", "text/html");
    const [fresh, time] = [page.getElementById("state"), page.getElementById("as-of")];
    if (!fresh || fresh.dataset.department !== state.dataset.department || !time) throw answer.status;
    for (const key of ["colour", "reason", "revision"]) state.dataset[key] = fresh.dataset[key];
    state.replaceChildren(...fresh.children);
    asOf.textContent = time.textContent;
    misses = 0;
    notLive.hidden = true;
  } catch {
    notLive.hidden = false;
    if (!lost) asked = setTimeout(refresh, Math.min(LONGEST, AGAIN * 2 ** misses++) * (0.5 + Math.random()));
  }
}

followButton(
  "",
  state.dataset.department,
  (button) => {
    lost = button.lost === true;
    if (lost) {
      clearTimeout(asked ?? undefined);
      asked = null;
      notLive.hidden = false;
    } else if (String(button.revision) !== state.dataset.revision || !notLive.hidden) asked ??= setTimeout(refresh, Math.random() * SPREAD);
  },
  DEAF,
);
