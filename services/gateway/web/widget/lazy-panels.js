// What comes beside the conversation: the privacy notice, the settings with what notifies of an answer, the question for a name, the queue
// with its estimate, the warning to who is silent, numbers that are masked or refused, files that are pasted or dropped,
// the request to identify, and what follows the end.

/**
 * Whether the citizen may be asked for a name, or gave one that the server does not know yet.
 *
 * @param {Conversation} chat
 * @param {ChatRecord} record
 */
export const nameless = (chat, record) =>
  !chat.closed && !chat.name && Boolean(chat.frames?.includes("details")) && (!record.named || Boolean(record.name));

/** @type {{name: string, load(): Promise<any>, needed(chat: Conversation, record: ChatRecord): unknown}[]} */
const PARTS = [
  {
    name: "waiting",
    load: () => import("./queue-info.js"),
    needed: (chat, record) => chat.position || record.left || chat.closed === "no_agent",
  },
  {
    name: "inactive",
    load: () => import("./inactivity-warning.js"),
    needed: (chat) => chat.inactive,
  },
  {
    name: "privacy",
    load: () => import("./privacy-notice.js"),
    needed: (chat) => !chat.closed,
  },
  {
    name: "settings",
    load: () => import("./settings.js"),
    needed: (chat) => chat.welcomed && !chat.closed,
  },
  {
    name: "after",
    load: () => import("./after-chat.js"),
    needed: (chat, record) => chat.closed && !record.untold && chat.closed !== "unreached",
  },
  {
    name: "masked",
    load: () => import("./masked-numbers.js"),
    needed: (chat) =>
      chat.messages?.some(({ text }) => text?.includes("•")) || chat.pending?.some(({ code }) => code === "identifying_number"),
  },
  {
    name: "given",
    load: () => import("./given-files.js"),
    needed: (chat) => !chat.closed,
  },
  {
    name: "identify",
    load: () => import("./identify-card.js"),
    needed: (chat) => !chat.closed && chat.messages?.some(({ identification }) => identification?.step === "asked"),
  },
  { name: "name", load: () => import("./name-card.js"), needed: nameless },
];

/**
 * The parts that a chat needs now.
 *
 * @param {Conversation} chat
 * @param {ChatRecord} record
 */
export const partsOf = (chat, record) => PARTS.filter(({ needed }) => needed(chat, record));

/**
 * Shows what a chat needs: called with `(chat, link)` at each change, without a chat at the end.
 *
 * @param {WidgetPart} view
 */
export function aside(view) {
  const parts = new Map(); // name → promise of what is told each change
  /** @type {[chat?: Conversation, link?: Link]} */
  let now = [];

  // What could not be loaded is tried again at the next change.
  /** @param {(typeof PARTS)[number]} part */
  const start = ({ name, load }) =>
    load()
      .then((/** @type {any} */ module) => module[name](view))
      .catch(() => void parts.delete(name));
  return (/** @type {[chat?: Conversation, link?: Link]} */ ...change) => {
    now = change;
    for (const part of now[0] ? partsOf(now[0], view.record) : []) if (!parts.has(part.name)) parts.set(part.name, start(part));
    for (const part of parts.values()) part.then((/** @type {any} */ tell) => tell?.(...now));
  };
}
