/**
 * RULES of the internal notes of one chat: what colleagues wrote, and what was written here and has no receipt yet.
 * Notes have no `seq`; they are told apart by `id` and stand in the order of `at`.
 */
import { RETRY_LATER } from "../shared/conversation.js";

/**
 * No notes; `pending` are those of an earlier page: `{id, text}`.
 *
 * @param {(Partial<PendingNote> & {id: string, text: string})[]} [pending]
 * @returns {Notebook}
 */
export const notebook = (pending = []) => ({
  notes: [],
  pending: pending.map((item) => ({ state: "sending", ...item, wire: false })),
});

/**
 * A note that the server stored; the receipt of ours when the id is one of ours. A repeat changes nothing.
 *
 * @param {Notebook} book
 * @param {Note} note
 */
export function stored(book, { id, name, text, at }) {
  const pending = book.pending.filter((item) => item.id !== id);
  if (book.notes.some((note) => note.id === id)) return { ...book, pending };
  const notes = [...book.notes, { id, name, text, at }].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  return { notes, pending };
}

/**
 * A new note, at the end.
 *
 * @param {Notebook} book
 * @param {string} id
 * @param {string} text
 * @returns {Notebook}
 */
export const write = (book, id, text) => ({ ...book, pending: [...book.pending, { id, text, state: "sending", wire: false }] });

/**
 * Whether a refusal is about a note of ours.
 *
 * @param {Notebook} book
 * @param {string} id
 */
export const owns = (book, id) => book.pending.some((item) => item.id === id);

/**
 * Refused: "not now" waits for the next hello, any other code has failed for good.
 *
 * @param {Notebook} book
 * @param {string} id
 * @param {string} code
 * @returns {Notebook}
 */
export function refused(book, id, code) {
  const later = RETRY_LATER.includes(code);
  /** @param {PendingNote} item @returns {PendingNote} */
  const change = (item) => ({ ...item, wire: false, state: later ? "sending" : "failed", code: later ? undefined : code });
  return { ...book, pending: book.pending.map((item) => (item.id === id ? change(item) : item)) };
}

/**
 * A failed note is tried again under its own id.
 *
 * @param {Notebook} book
 * @param {string} id
 */
export const again = (book, id) => mark(book, id, { state: "sending", code: undefined, wire: false });

/**
 * This note is on the way.
 *
 * @param {Notebook} book
 * @param {string} id
 */
export const sent = (book, id) => mark(book, id, { wire: true });

/**
 * A failed note is given up.
 *
 * @param {Notebook} book
 * @param {string} id
 */
export const discard = (book, id) => ({ ...book, pending: book.pending.filter((item) => item.id !== id) });

/**
 * The connection is gone: what had no receipt goes out again, under the same ids.
 *
 * @param {Notebook} book
 */
export const disconnected = (book) => ({ ...book, pending: book.pending.map((item) => ({ ...item, wire: false })) });

/**
 * The notes that may go out now, in order.
 *
 * @param {Notebook} book
 */
export const due = (book) => book.pending.filter((item) => item.state === "sending" && !item.wire);

/**
 * Nothing can be written any more: what waits has failed.
 *
 * @param {Notebook} book
 * @param {string} code
 * @returns {Notebook}
 */
export const shut = (book, code) => ({
  ...book,
  pending: book.pending.map((item) => (item.state === "failed" ? item : { ...item, state: "failed", code, wire: false })),
});

/** @param {Notebook} book @param {string} id @param {Partial<PendingNote>} change */
const mark = (book, id, change) => ({
  ...book,
  pending: book.pending.map((item) => (item.id === id ? { ...item, ...change } : item)),
});
