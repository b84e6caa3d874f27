// Chats, messages and frames for the tests of the console's rules, and a desk that takes them. Tests import it; it has none.
import * as rules from "../../services/gateway/web/console/desk-state.js";

export const AWAY = { here: false, bottom: false };
export const HERE = { here: true, bottom: true };
export const chat = (id, more = {}) => ({
  chat_id: id,
  department: "algemeen",
  locale: "nl",
  name: null,
  question: null,
  form: null,
  opened_at: "2026-11-23T08:00:00Z",
  last_seq: 0,
  ...more,
});
export const message = (chat_id, seq, from = "citizen", more = {}) => ({
  type: "message",
  chat_id,
  seq,
  id: `${from}${seq}`,
  from,
  text: `t${seq}`,
  at: `2026-11-23T08:00:0${seq}Z`,
  ...more,
});
/** The desk after these frames, and all effects. */
export function after(state, ...frames) {
  const effects = [];
  for (const frame of frames) {
    const step = rules.take(state, frame);
    state = step.desk;
    effects.push(...step.effects);
  }
  return { state, effects };
}

/** `welcome(...chats)` and `start(...frames)` of this agent's desk. */
export function deskOf(agent) {
  const welcome = (...chats) => ({ type: "welcome", agent, chats });
  const start = (...frames) => after(rules.desk(agent, null), welcome(), ...frames).state;
  return { welcome, start };
}
