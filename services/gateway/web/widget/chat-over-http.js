// What is left without a websocket: how a chat is, and its end. Loaded once a chat is there, so that it is there in an outage.
const ANSWER = 8_000; // ms

/**
 * Ends the chat over HTTP: whether the server knows it.
 *
 * @param {string} base
 * @param {ChatRecord} record
 */
export async function endChat(base, record) {
  const headers = { Authorization: `Bearer ${record.token}` };
  const signal = AbortSignal.timeout(ANSWER);
  return fetch(`${base}/api/chats/${record.chat_id}`, { method: "DELETE", headers, credentials: "omit", keepalive: true, signal }).then(
    ({ status }) => status === 204,
    () => false,
  );
}

/**
 * What the server says of the chat over HTTP: `{messages, closed}`, `{gone: true}`, or null when it says nothing.
 *
 * @param {string} base
 * @param {ChatRecord} record
 */
export async function readChat(base, record) {
  try {
    const headers = { Authorization: `Bearer ${record.token}` };
    const answer = await fetch(`${base}/api/chats/${record.chat_id}/transcript?format=json`, {
      headers,
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWER),
    });
    const told = await answer.json();
    if (answer.status === 404 && told.code === "no_such_chat") return { gone: true };
    const right = answer.status === 200 && told.chat_id === record.chat_id && Array.isArray(told.messages);
    return right ? { messages: told.messages, closed: typeof told.closed_at === "string" } : null;
  } catch {
    return null;
  }
}
