/**
 * Whether the citizen may be asked for a name, or gave one that the server does not know yet.
 *
 * @param {Conversation} chat
 * @param {ChatRecord} record
 */
export const nameless = (chat, record) =>
  !chat.closed && !chat.name && Boolean(chat.frames?.includes("details")) && (!record.named || Boolean(record.name));
