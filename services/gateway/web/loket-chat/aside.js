// What comes beside the conversation now and then: the queue with its estimate, the warning to who is silent.
const NEEDED = {
  waiting: (chat, record) => chat.position || record.left || chat.closed === "no_agent",
  inactive: (chat) => chat.inactive,
};

/** Shows what a chat needs: called with `(chat, link)` at each change, without a chat at the end. */
export function aside(view) {
  const parts = new Map(); // name → promise of what is told each change
  let now = [];

  const load = (name) => import(`./${name}.js`).then((module) => module[name](view)).catch(() => void parts.delete(name)); // tried again at the next change
  return (...change) => {
    now = change;
    for (const [name, needed] of Object.entries(NEEDED))
      if (now[0] && needed(now[0], view.record) && !parts.has(name)) parts.set(name, load(name));
    for (const part of parts.values()) part.then((tell) => tell?.(...now));
  };
}
