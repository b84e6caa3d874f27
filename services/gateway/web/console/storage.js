/**
 * What outlives a reload. What an agent was writing is kept for this tab alone (sessionStorage: it goes with the tab, and nothing of a
 * citizen stays on a shared computer); choices of language and sound are kept for good. A browser that keeps nothing does no harm.
 */
const DESK = "eloket.agent.desk";
const CHOICE = "eloket.agent.";

const quietly = (call, otherwise = null) => {
  try {
    return call();
  } catch {
    return otherwise; // storage is full or forbidden
  }
};

/** What this agent's desk kept in this tab, or null. What another agent left is wiped. */
export function keptDesk(agent) {
  const kept = quietly(() => JSON.parse(sessionStorage.getItem(DESK) ?? "null"));
  if (kept?.agent === agent) return kept.desk;
  forgetDesk();
  return null;
}

export const keepDesk = (agent, desk) => quietly(() => sessionStorage.setItem(DESK, JSON.stringify({ agent, desk })));
export const forgetDesk = () => quietly(() => sessionStorage.removeItem(DESK));

/** A choice (`language`, `sound`, `session`) made before in this browser, or null. */
export const choice = (name) => quietly(() => localStorage.getItem(CHOICE + name));
export const choose = (name, value) => quietly(() => localStorage.setItem(CHOICE + name, value));

/** Whether somebody may be logged in: somebody was, or this browser keeps nothing that could tell. */
export const maybeLoggedIn = () => {
  choose("kept", "yes");
  return choice("session") === "yes" || choice("kept") !== "yes";
};
