// Types for `tsc`; this file is not served. What describes an interface stands here rather than in the modules, because citizens' browsers
// load those with their comments.
//
// The frames are those of the public protocol with docs/additions.md. A page does not trust them: an older or newer server may differ.

type Dot = "grey" | "green" | "red";
type Party = "citizen" | "agent";

interface Attachment {
  id: string;
  name: string;
  /** Bytes. */
  size: number;
  content_type?: string;
}

/** What a system message is about, for agents. */
interface About {
  agent_id?: string;
  agent?: string;
  department?: string;
  reason?: string;
  detail?: string;
}

/** An entry of a log as the server sends it. */
interface MessageFrame {
  type: "message";
  chat_id?: string;
  seq: number;
  id?: string;
  from: Party | "system";
  name?: string;
  text?: string;
  attachment?: Attachment;
  event?: "opened" | "assigned" | "agent_left" | "transferred" | "closed";
  about?: About;
  /** RFC 3339, UTC. */
  at: string | null;
}

interface StatusFrame {
  type: "status";
  dot: Dot;
  position: number | null;
  agent: { name: string } | null;
  /** The estimated wait in seconds. */
  wait?: any;
  assigned?: boolean;
}

interface TypingFrame {
  type: "typing";
  chat_id?: string;
  from: Party;
  active: boolean;
}

interface ReadFrame {
  type: "read";
  chat_id?: string;
  from: Party;
  seq: number;
}

interface SyncFrame {
  type: "sync";
  chat_id?: string;
  last_seq: number;
}

interface ClosedFrame {
  type: "closed";
  chat_id?: string;
  reason: string;
}

/** `warning` 0: the inactivity is over, and the others are null. */
interface InactiveFrame {
  type: "inactive";
  chat_id?: string;
  warning: 0 | 1 | 2;
  closes_at: string | null;
  seconds: number | null;
}

interface ErrorFrame {
  type: "error";
  code: string;
  message?: string;
  chat_id?: string;
  /** The id of the refused message or note. */
  id?: string;
}

interface CitizenWelcomeFrame {
  type: "welcome";
  chat_id: string;
  dot: Dot;
  last_seq: number;
}

/** What a server sends to a citizen. */
type CitizenFrame =
  | CitizenWelcomeFrame
  | StatusFrame
  | MessageFrame
  | TypingFrame
  | ReadFrame
  | SyncFrame
  | ClosedFrame
  | InactiveFrame
  | ErrorFrame;

/** A chat of an agent, in `welcome` and `assigned`. */
interface AssignedChat {
  chat_id: string;
  department: string;
  locale: string;
  name: string | null;
  question: string | null;
  form: { id?: string; title?: string; url?: string } | null;
  opened_at: string;
  last_seq: number;
  accepted?: boolean;
  accept_seconds?: number | null;
  transferred?: boolean;
  returned?: string;
  /** Added by the page: until when the chat can be accepted, in ms of `performance.now()`. */
  accept_at?: number;
}

interface AgentWelcomeFrame {
  type: "welcome";
  agent: { id: string; name: string; departments: string[]; capacity: number; state: string; supervisor?: boolean };
  chats: AssignedChat[];
  /** The frames beyond version 1 that this server accepts. */
  frames?: string[];
}

interface AssignedFrame {
  type: "assigned";
  chat: AssignedChat;
}

interface UnassignedFrame {
  type: "unassigned";
  chat_id: string;
  reason: string;
}

interface CitizenOnlineFrame {
  type: "citizen";
  chat_id: string;
  online: boolean;
}

interface StateFrame {
  type: "state";
  state: string;
  reason?: string;
}

interface NoteFrame {
  type: "note";
  chat_id: string;
  id: string;
  name: string;
  text: string;
  at: string;
}

/** What a server sends to an agent. */
type AgentFrame =
  | AgentWelcomeFrame
  | AssignedFrame
  | UnassignedFrame
  | CitizenOnlineFrame
  | StateFrame
  | NoteFrame
  | MessageFrame
  | TypingFrame
  | ReadFrame
  | SyncFrame
  | ClosedFrame
  | InactiveFrame
  | ErrorFrame;

/** A message of this participant that has no receipt yet. */
interface PendingMessage {
  id: string;
  text?: string;
  attachment?: string;
  file?: Attachment;
  state: "sending" | "failed";
  /** Why it failed. */
  code?: string;
  /** It is under way on this connection. */
  wire: boolean;
}

/** A chat as `conversation.js` keeps it. */
interface Conversation {
  me: Party;
  messages: MessageFrame[];
  ahead: MessageFrame[];
  pending: PendingMessage[];
  blocked: boolean;
  welcomed: boolean;
  dot: Dot;
  position: number | null;
  agent: { name: string } | null;
  assigned: boolean;
  wait: number | null;
  inactive: InactiveFrame | null;
  typing: boolean;
  read: number;
  closed: string | null;
}

/** "hello": say it again, because something is missing; "later": say it after a pause. */
type Ask = "hello" | "later" | null;

/** The effect of a frame on a chat. */
interface Received {
  chat: Conversation;
  ask: Ask;
  /** The new messages. */
  added: MessageFrame[];
}

/** `connecting`: first, and once after 1012. `lost`: it comes back by itself. `ended`: it comes back only by `open()`. */
type ConnectionState = "connecting" | "open" | "lost" | "ended";

interface ConnectionOptions {
  url: string;
  /** Makes the first frame of each websocket. */
  hello(): object;
  onFrame(frame: any): void;
  onState?(state: ConnectionState, closeCode?: number): void;
  /** Milliseconds without a frame after which the websocket counts as dead. */
  silence?: number;
  /** Takes the browser's place in tests. */
  env?: typeof globalThis;
}

/**
 * How a citizen's page stands with the server.
 *
 * `trouble`: "blocked" (the server answers over HTTP, but no websocket came through for 10 s), "unreached" (nothing came through),
 * "long" (lost for 30 s), or null.
 */
interface Link {
  state: ConnectionState;
  code?: number;
  trouble: "blocked" | "unreached" | "long" | null;
}

/** A citizen's chat as the browser keeps it. */
interface ChatRecord {
  chat_id: string;
  token: string;
  /** The path of its websocket. */
  websocket: string;
  /** The last `seq` that was shown. */
  shown?: number;
  /** The panel was open. */
  open?: boolean;
  /** When it ended, in ms since the epoch. */
  ended?: number;
  /** It ended here, and the server does not know that. */
  untold?: boolean;
  /** Its citizen left a question. */
  left?: boolean;
}

/** What the browser keeps, by name. */
interface Store {
  read(name: string): any;
  write(name: string, value: any): void;
  /** The messages of a chat without a receipt, in order. */
  waiting(chatId: string): any[];
  clear(): void;
}

interface ChatSessionOptions {
  base: string;
  record: ChatRecord;
  store: Store;
  onChange(chat: Conversation, link: Link): void;
  onUntold(untold: boolean): void;
}

/** A text by its key, with its values filled in. */
interface Translator {
  (key: string, values?: Record<string, unknown>): string;
  has(key: string | undefined): boolean;
  /** The language of the texts. */
  language: string;
}
