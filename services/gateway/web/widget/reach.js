// How else to reach the department: a list for the panel, and the block above the launcher when there is no chat. With it come the looks
// that a launcher takes on after its first moment.
import { h, setAttribute } from "../shared/dom.js";
import { sheet, wear } from "../shared/style-sheets.js";

const looks = sheet(`
.reach { position: fixed; z-index: 2147483000; inset: auto var(--right) calc(var(--y) + 4.75em) var(--left); width: min(22em, calc(100vw - 2 * var(--x)));
  max-height: calc(100vh - 7em); overflow-y: auto; padding: 1em; border: 1px solid #8888; border-radius: .75em; background: Canvas; color: CanvasText; box-shadow: 0 2px 6px #0002, 0 12px 40px #0005; }
.reach p { margin: 0; }
.reach:focus { outline: none; }
.reach :is(a, button):focus-visible { outline: 3px solid LinkText; outline-offset: 1px; }
.reach button { min-height: 2.75em; padding: .3em .9em; border: 1px solid; border-radius: .4em; background: none; color: inherit; font: inherit; cursor: pointer; }
.ways { padding: 0; list-style: none; overflow-wrap: anywhere; }
.reach .ways { margin: .5em 0; }
.badge { min-width: 1.6em; padding: 0 .4em; border-radius: 1em; background: #fff; color: #111; font-weight: 700; text-align: center; }
@media (max-width: 30rem) { .badge { position: absolute; inset: -.4em -.4em auto auto; border: 1px solid; } }
.eloket[data-avoid=away] > .launcher { translate: 0 100vh; }
.ways a { display: inline-block; padding-block: .2em; color: var(--link, LinkText); }
`);

/**
 * Fills `host.reach` at each `tell()`; `ways(path)` makes a list for another place.
 *
 * @param {any} host an `EloketChat`
 */
export function reachOf(host) {
  const { reach, words } = host;
  /** @type {string | null} */
  let news = null;
  wear(host.shadowRoot, looks);
  setAttribute(reach, "aria-label", words.reach);
  reach.addEventListener("keydown", (/** @type {KeyboardEvent} */ { key }) => key === "Escape" && host.unfold(false));

  /** @param {string} [path] of the info sheet */
  function ways(path) {
    /** @param {Way} way */
    const way = ({ kind, value, href }) =>
      h("li", {}, `${words[kind]}: `, href ? h("a", { href, rel: "noopener", target: kind === "web" && "_blank" }, value) : value);
    const sheet = h(
      "a",
      { href: host.sheet(path), target: "_blank", rel: "noopener" },
      words.blueHint,
      h("span", { class: "sr" }, words.newTab),
    );
    return h("ul", { class: "ways" }, ...(host.button?.contact ?? []).map(way), h("li", {}, sheet));
  }

  function tell() {
    const { button, chat, failed } = host;
    const why = failed ? words.failed : button?.lost ? words.lost : words.back;
    const now = JSON.stringify([why, button?.contact]);
    if (chat.open) setAttribute(reach, "hidden", true);
    if (reach.hidden || news === now) return;
    news = now;
    const close = h("button", { type: "button", onclick: () => host.unfold(false) }, words.close);
    const held = reach.contains(host.shadowRoot.activeElement);
    reach.replaceChildren(h("p", { role: "status" }, why), ways(), close);
    if (held) reach.focus();
  }

  return { tell, ways };
}
