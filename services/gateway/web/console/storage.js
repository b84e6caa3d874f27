/**
 * What outlives a reload. What an agent was writing is kept for this tab alone (sessionStorage: it goes with the tab, and nothing of a
 * citizen stays on a shared computer); choices of language and sound are kept for good. A browser that keeps nothing does no harm.
 */
const DESK = "eloket.agent.desk";
const CHOICE = "eloket.agent.";

/** @param {() => any} call */
const quietly = (call, otherwise = null) => {
  try {
    return call();
  } catch {
    return otherwise; // storage is full or forbidden
  }
};

/**
 * What this agent's desk kept in this tab, or null. What another agent left is wiped.
 *
 * @param {string} agent
 */
export function keptDesk(agent) {
  const kept = quietly(() => JSON.parse(sessionStorage.getItem(DESK) ?? "null"));
  if (kept?.agent === agent) return kept.desk;
  forgetDesk();
  return null;
}

/** @param {string} agent @param {object} desk */
export const keepDesk = (agent, desk) => quietly(() => sessionStorage.setItem(DESK, JSON.stringify({ agent, desk })));
export const forgetDesk = () => quietly(() => sessionStorage.removeItem(DESK));

/**
 * A choice (`language`, `sound`, `session`) made before in this browser, or null.
 *
 * @param {string} name
 */
export const choice = (name) => quietly(() => localStorage.getItem(CHOICE + name));
/** @param {string} name @param {string} value */
export const choose = (name, value) => quietly(() => localStorage.setItem(CHOICE + name, value));

const CHOICES = ["language", "sound", "shortcuts"];

/**
 * What `call` answers. The answer to a logout clears what this site keeps in the browser (`Clear-Site-Data`): the choices, which tell nothing of
 * anybody, are kept again.
 *
 * @template A
 * @param {() => Promise<A>} call
 */
export async function keepingChoices(call) {
  const before = CHOICES.map((name) => /** @type {const} */ ([name, choice(name)]));
  const answer = await call();
  for (const [name, value] of before) if (value !== null && choice(name) === null) choose(name, value);
  return answer;
}

/** Whether somebody may be logged in: somebody was, or this browser keeps nothing that could tell. */
export const maybeLoggedIn = () => {
  choose("kept", "yes");
  return choice("session") === "yes" || choice("kept") !== "yes";
};
