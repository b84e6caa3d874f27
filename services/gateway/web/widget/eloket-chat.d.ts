// The public JavaScript API of <eloket-chat>; docs/embedding.md describes it. Members are only ever added.

/** grey: waits for an agent. green: an agent has accepted the chat. red: not, or no longer, connected. */
type EloketChatDot = "grey" | "green" | "red";

/** Where in the form the citizen is. The agent sees it, and the citizen sees that the agent does. Never the content of a field. */
interface EloketChatContext {
  /** The step, as the form calls it; 200 characters at most, as the other members. */
  step?: string;
  /** The label of the field. */
  field?: string;
  /** The code or the text of the error. */
  error?: string;
}

interface EloketChatForm extends EloketChatContext {
  /** Instead of the attribute `form-id`; 200 characters at most. */
  id?: string;
  /** Instead of the attribute `form-title`; 500 characters at most. */
  title?: string;
}

/** What the page knows already. */
interface EloketChatStart {
  /** 200 characters at most. */
  name?: string;
  /** The first message of the citizen; 4,000 characters at most. */
  question?: string;
  form?: EloketChatForm;
}

/**
 * `code` says why no chat was started: `open` (there is one, and it is shown), `starting`, `unavailable`, or a code of
 * `POST /api/chats` such as `button_blue` or `identifying_number` (the question or the name has a number that the department
 * refuses: the citizen gets the question back to change it), `network` or `strange`. The panel tells the citizen too.
 */
type EloketChatStarted = { started: true; chat_id: string } | { started: false; code: string };

interface EloketChatState {
  colour: "green" | "blue";
  /** `available`, `closed`, `busy`, `no_agents` or `unknown`. */
  reason: string;
  /** Whether the panel is open. */
  open: boolean;
  /** Messages that the citizen has not seen. */
  unread: number;
  /** The dot of the chat; null without one. */
  dot: EloketChatDot | null;
}

interface EloketChatElement extends HTMLElement {
  /** Where in the form the citizen is; read when a chat starts. */
  context: EloketChatContext | null;
  /** What is shown; null until `eloket-chat-ready`. */
  readonly state: EloketChatState | null;
  /** Does what a press on the launcher does. */
  open(): void;
  /** Closes the panel; the chat goes on. */
  close(): Promise<void>;
  /** Opens the panel and starts a chat. Call it when the citizen asked for it. */
  start(given?: EloketChatStart): Promise<EloketChatStarted>;
}

/** The events bubble. */
interface EloketChatEventMap {
  /** The launcher is there. Again after a change of `department` or `locale`. */
  "eloket-chat-ready": CustomEvent<EloketChatState>;
  /** The button has another colour or reason. */
  "eloket-chat-button": CustomEvent<EloketChatState>;
  /** The panel has opened. */
  "eloket-chat-opened": CustomEvent<EloketChatState>;
  /** The panel has closed; the chat goes on. */
  "eloket-chat-closed": CustomEvent<EloketChatState>;
  "eloket-chat-started": CustomEvent<{ chat_id: string }>;
  /** No chat was started; `code` as in the answer of `start()`. After a press too. */
  "eloket-chat-refused": CustomEvent<{ code: string }>;
  "eloket-chat-status": CustomEvent<{ dot: EloketChatDot | null; agent: string | null; position: number | null }>;
  /** A message of one of the two is in the conversation. Its text is not the page's. */
  "eloket-chat-message": CustomEvent<{ from: "citizen" | "agent"; seq: number; at: string | null; attachment: boolean }>;
  "eloket-chat-ended": CustomEvent<{ chat_id: string; reason: string }>;
  /** A chat is open: at once, then each minute, or as `keep-alive-seconds` says. */
  "eloket-chat-active": CustomEvent<{ chat_id: string }>;
}

interface HTMLElementTagNameMap {
  "eloket-chat": EloketChatElement;
}

interface HTMLElementEventMap extends EloketChatEventMap {}
interface DocumentEventMap extends EloketChatEventMap {}
