// What the launcher shows beyond its first colour: each change of the button, why it is blue, how else to reach the department, a notice.
// Loaded once the launcher is shown; a press needs none of it.
import { h, setAttribute } from "../shared/dom.js";

/**
 * Follows the button of an `<eloket-chat>` until `stop()`. The host gets the members by which other modules use it: `unfold`, `ways`, and
 * `reach`, the block above the launcher.
 *
 * @param {any} host an `EloketChat`
 * @param {typeof import("../shared/button-status.js").followButton} followButton
 * @param {Pick<LauncherOptions, "base" | "prefix" | "load">} options
 */
export function stateOf(host, followButton, { base, prefix, load }) {
  const { frame } = host;
  const { signal } = host.gone;
  const reach = h("div", { id: "reach", class: "reach", hook: "chat-reach", role: "group", tabindex: -1, hidden: true });
  const gone = () => host.frame !== frame;
  const worded = load(`loket-chat/text/launcher/${frame.lang}`).then((texts) => gone() || (host.words = texts.default));
  /** @type {ReturnType<typeof import("./reach.js").reachOf> | undefined} */
  let other; // how else to reach the department
  /** @type {Awaited<ReturnType<typeof import("./blue-reason.js").createReason>> | null} */
  let blue = null; // says why the button is blue
  /** @type {Promise<void> | undefined} */
  let explaining;
  /** @type {Promise<ReturnType<typeof import("./notice.js").noticeOf>> | undefined} */
  let notice; // of the department

  async function explain() {
    const made = await (await load("loket-chat/blue-reason")).createReason(host, base).catch(() => null);
    if (gone()) return made?.dispose();
    blue = made;
    host.redraw();
  }

  /**
   * How else to reach the department, as a list of links: what the button once told, and the info sheet. Empty until that is loaded.
   *
   * @param {string} [path]
   */
  function ways(path) {
    const list = other?.ways(path) ?? h("ul", { class: "ways" });
    if (!other) reached.then(() => other && list.append(...other.ways(path).children));
    explaining?.then(() => {
      const { button } = host;
      const act = { type: "button", hook: "blue-offers", onclick: () => blue?.open() };
      if (button && blue?.offers(button)) list.prepend(h("li", {}, h("button", act, blue.words(button).hint)));
    });
    return list;
  }

  /**
   * Says above the launcher why there is no chat, and what else there is.
   *
   * @param {boolean} open
   */
  function unfold(open) {
    if (!other) return;
    const held = reach.contains(host.shadowRoot?.activeElement ?? null);
    setAttribute(reach, "hidden", !open);
    host.show({});
    if (open) reach.focus();
    else if (held) host.launcher?.focus();
  }

  /**
   * What a blue launcher says, and what it does other than show the info sheet.
   *
   * @param {Button} button
   * @returns {{title?: string, hint: string, act?: Record<string, unknown>} | null}
   */
  function ofBlue(button) {
    if (button.lost) {
      const [way] = button.contact;
      if (!other) return null;
      const hint = way ? `${host.words[way.kind]}: ${way.value}` : host.words.lostHint;
      const act = { "aria-expanded": String(!reach.hidden), "aria-controls": "reach", onclick: () => unfold(reach.hidden === true) };
      return { hint, act };
    }
    if (!host.button || !blue) return null;
    return { ...blue.words(button), act: blue.offers(button) ? { "aria-haspopup": "dialog", onclick: () => blue?.open() } : undefined };
  }

  /** Follows what the launcher shows. @param {{button?: Button}} change */
  function changed({ button }) {
    if (button && !button.lost) host.restore();
    if (host.button?.colour === "blue" && !host.button.lost) explaining ??= explain();
    other?.tell();
    blue?.changed();
    if (host.button?.notice) notice ??= Promise.all([load("loket-chat/notice"), worded]).then(([{ noticeOf }]) => noticeOf(host, prefix));
    notice?.then((made) => gone() || made.tell());
  }

  /** @param {Button} button */
  const told = (button) => {
    host.show({ button });
    // perhaps the page made a mistake: that is looked at and told
    if (button.doubt) load("loket-chat/mistakes").then(({ mistake }) => gone() || mistake(host, base, button.doubt));
  };
  Object.assign(host, { reach, ways, unfold });
  frame.append(reach);
  const unfollow = followButton(base, host.getAttribute("department"), told, undefined, host.first);
  const avoid = () => load("loket-chat/avoid-focus").then(({ avoidFocus }) => gone() || avoidFocus(host, frame, signal));
  if (document.activeElement?.matches("body, html, eloket-chat") ?? true) addEventListener("focusin", avoid, { signal, once: true });
  else avoid();
  load("loket-chat/tabs").then(
    ({ followTabs }) => gone() || followTabs(host, prefix),
    () => {}, // this tab is for itself then
  );
  // while the server is there, for when it is gone
  const reached = Promise.all([load("loket-chat/reach"), worded]).then(([{ reachOf }]) => {
    if (gone()) return;
    other = reachOf(host);
    host.redraw();
  });

  return {
    blue: ofBlue,
    changed,
    stop() {
      unfollow();
      blue?.dispose();
    },
  };
}
