/** RULES of the identification of a citizen, as the log of a chat tells it. A citizen's own words are never read here. */

/** @param {MessageFrame[]} messages */
const steps = (messages) => messages.filter(({ from, identification }) => from === "system" && identification);

/**
 * The last request of an agent that has no answer yet, or undefined.
 *
 * @param {MessageFrame[]} messages
 */
export function openRequest(messages) {
  const told = steps(messages);
  const asked = told.findLast(({ identification }) => identification?.step === "asked");
  const id = asked?.identification?.id;
  return told.some((one) => one !== asked && one.identification?.id === id) ? undefined : asked;
}

/**
 * As whom the citizen has identified, the last time: what the issuer says, or undefined.
 *
 * @param {MessageFrame[]} messages
 */
export const identity = (messages) =>
  steps(messages).findLast(({ identification }) => identification?.step === "identified" && identification.name)?.identification;
