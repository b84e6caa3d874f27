/** RULES of how the agent reads what the system says in a conversation: in their own language, from where they stand. */

/**
 * The words for a system `message`, made from its `event` and `about`. `own` is the agent's id, `name` how the citizen is called, `departments` the
 * departments' names by id. What this page does not know, and an identification in a transcript, which has no data of it, is told as the
 * words that the citizen read.
 *
 * @param {Translator} t
 * @param {Pick<MessageFrame, "event" | "text" | "about" | "identification">} message
 * @param {{own: string, name: string, departments: Map<string, string>}} context
 */
export function systemWords(t, { event, text, about = {}, identification }, { own, name, departments }) {
  const { agent_id: who, agent, department, detail, reason } = about;
  const values = { name, agent: agent || t("said.colleague"), department: departments.get(department ?? "") ?? department ?? "" };
  const by = who === own ? "you" : who || agent ? "other" : "nobody";
  /** @param {...string} keys */
  const told = (...keys) => keys.map((key) => `said.${key}`).find((key) => t.has(key) && (values.department || !asks(t(key))));
  /** @type {Record<string, (() => string | undefined) | undefined>} */
  const words = {
    opened: () => told("opened"),
    assigned: () => told(`assigned.${by}`),
    agent_left: () => told(`agent_left.${detail}.${by}`, `agent_left.${by}`),
    transferred: () => told(`transferred.${detail}.${by}`, `transferred.${detail}`, `transferred.${by}`, "transferred.nobody"),
    closed: () => told(`closed.${reason}.${by}`, `closed.${reason}`, "closed"),
  };
  const shown = text ? t("said.shown", { text }) : "";
  if (identification) return identified(t, identification, { ...values, by }) ?? shown;
  const key = words[event ?? ""]?.();
  return key ? t(key, values) : shown;
}

/**
 * The words for a step in the identification of the citizen, or undefined.
 *
 * @param {Translator} t
 * @param {Identification} step
 * @param {{agent: string, by: string}} context
 */
function identified(t, { step, name, level, issuer }, { agent, by }) {
  if (step === "identified" && !name) return undefined; // it was erased
  const key = [`said.identification.${step}.${by}`, `said.identification.${step}`].find((one) => t.has(one));
  return key && t(key, { agent, name: name ?? "", issuer: issuer ?? "", level: t.has(`level.${level}`) ? t(`level.${level}`) : "" });
}

/** @param {string} words */
const asks = (words) => words.includes("{department}");
