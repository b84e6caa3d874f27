// Types for `tsc` that two or more modules use, or that are too long for a comment; this file is not served.
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
  event?: "opened" | "assigned" | "agent_left" | "transferred" | "closed" | "identification";
  about?: About;
  identification?: Identification;
  /** RFC 3339, UTC. */
  at: string | null;
}

/** A step in the identification of the citizen, in a message of the system. */
interface Identification {
  /** The request, which all its steps have. */
  id: string;
  step: "asked" | "identified" | "declined" | "failed";
  /** Seconds left in which the citizen may begin, of the step `asked`. */
  seconds?: number;
  name?: string;
  level?: "low" | "substantial" | "high";
  issuer?: string;
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
  /** The citizen's name, as far as the server knows it. */
  name?: string | null;
  /** The frames beyond version 1 that this server accepts. */
  frames?: string[];
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

/** The online form that a citizen has open. */
interface AssignedForm {
  id?: string;
  title?: string;
  url?: string;
  /** Where in the form they were at the start of the chat, as the page said. */
  step?: string;
  field?: string;
  error?: string;
}

/** A chat of an agent, in `welcome` and `assigned`. */
interface AssignedChat {
  chat_id: string;
  department: string;
  locale: string;
  name: string | null;
  question: string | null;
  form: AssignedForm | null;
  opened_at: string;
  last_seq: number;
  accepted?: boolean;
  accept_seconds?: number | null;
  transferred?: boolean;
  returned?: string;
  /** Seconds of waiting for an answer after which the agent is reminded. */
  remind_after?: number;
  /** The agent may ask the citizen to identify. */
  identify?: boolean;
  /** Added by the page: until when the chat can be accepted, in ms of `performance.now()`. */
  accept_at?: number;
}

/** A chat that has ended and that the agent wraps up, as the server sends it. */
interface SentWrapUp {
  chat_id: string;
  department: string;
  seconds: number;
  /** Added by the page: until when, in ms of `performance.now()`. */
  until?: number;
}

/** The same on the desk. `until`: in ms of `performance.now()`. */
interface WrapUp {
  id: string;
  department: string;
  name: string | null;
  until: number;
}

/** A word of a list of the departments file, with its names by language. */
interface NamedOption {
  id: string;
  names: Record<string, string>;
}

/** The lists from which the agent of a chat chooses at its end. `required`: a reason is. */
interface ClosingOptions {
  reasons: NamedOption[];
  tags: NamedOption[];
  required: boolean;
}

/** The closing reason and the tags of a chat, by their ids. */
interface Label {
  reason: string | null;
  tags: string[];
}

interface AgentWelcomeFrame {
  type: "welcome";
  agent: {
    id: string;
    name: string;
    departments: string[];
    capacity: number;
    state: string;
    supervisor?: boolean;
    wrap_ups?: SentWrapUp[];
    /** The id of the reason of the agent's pause. */
    pause_reason?: string | null;
    /** Of `GET /api/agent/me`: the reasons of which the agent chooses one. */
    pause_reasons?: NamedOption[];
    /** Of `GET /api/agent/me`: what the agent says of a chat at its end, by department. */
    closing?: Record<string, ClosingOptions>;
  };
  chats: AssignedChat[];
  /** The frames beyond version 1 that this server accepts. */
  frames?: string[];
}

/** A running chat of a department, for its supervisors. */
interface LiveChat {
  chat_id: string;
  agent_id: string;
  agent: string;
  since: string;
  accepted: boolean;
  locale: string;
  unanswered_since: string | null;
}

/** An agent of a department, for its supervisors. */
interface LiveAgent {
  id: string;
  name: string;
  state: string;
  since: string | null;
  chats: number;
  capacity: number;
  pause_reason?: string | null;
}

/** The live state of a department: the whole, or what has changed. */
interface LiveFrame {
  type: "live";
  department: string;
  at: string;
  whole: boolean;
  current: boolean;
  remind_after: number;
  alarm_after: number;
  button?: { colour: string; reason: string; opens_at: string | null };
  intake?: { reason: string; until: string; name: string; at: string } | null;
  hours?: string[] | null;
  waiting?: { count: number; since: string | null; first: { chat_id: string; since: string; locale: string }[] };
  running?: number;
  staff?: number;
  agents?: LiveAgent[];
  agents_gone?: string[];
  chats?: LiveChat[];
  chats_gone?: string[];
}

/** A department as the live page knows it (`live-state.js`). */
interface LiveDepartment {
  department: string;
  current: boolean;
  remind_after: number;
  alarm_after: number;
  button: { colour: string; reason: string; opens_at: string | null } | null;
  intake: { reason: string; until: string; name: string; at: string } | null;
  hours: string[] | null;
  waiting: { count: number; since: string | null; first: { chat_id: string; since: string; locale: string }[] };
  running: number;
  staff: number;
  agents: Map<string, LiveAgent>;
  chats: Map<string, LiveChat>;
  /** How far the server's clock is ahead of the page's, in ms. */
  ahead: number;
}

/** What the bar shows of a department of the agent. `hours`: of today; null: always open; undefined: not known. `waiting` null: not known. */
interface OwnState {
  button: { colour: string; reason: string; opens_at: string | null } | null;
  intake: { until: string; name: string | null } | null;
  hours: string[] | null | undefined;
  waiting: { count: number; since: string | null } | null;
}

/** The departments of an agent: the first time each as a whole, then what has changed. */
interface OwnDepartmentsFrame {
  type: "departments";
  at: string;
  departments: ({ department: string } & Partial<OwnState>)[];
}

/** A department of the agent, as the bar knows it (`own-departments.js`). */
interface OwnDepartment extends OwnState {
  department: string;
  /** How far the server's clock is ahead of the page's, in ms. */
  ahead: number;
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
  name?: string;
}

interface StateFrame {
  type: "state";
  state: string;
  reason?: string;
  wrap_ups?: SentWrapUp[];
  pause_reason?: string | null;
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
  | LiveFrame
  | OwnDepartmentsFrame
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
  name: string | null;
  frames: string[];
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

/** The way of a connection over HTTP (`httpWay` in `connection.js`). */
interface HttpWay {
  /** Whether this browser needed it a short while ago. */
  needed(): boolean;
  make(hello: () => object): Promise<import("./http-socket.js").HttpSocket>;
}

interface ConnectionOptions {
  url: string;
  /** What is tried when no websocket comes through. */
  http?: HttpWay;
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
  /** The chat could not be started. */
  refused?: boolean;
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
  /** Its citizen left a question, with this receipt. */
  left?: boolean | { number?: string | null; within?: number | null; by?: string | null };
  /** Where in the form the citizen was at the start, as the page said. */
  place?: string;
  /** Its citizen was asked for a name; `name`: the one that they gave. */
  named?: boolean;
  name?: string;
}

/** What the browser keeps, by name. */
interface Store {
  /** Of the names in the browser's storage; a page of an earlier version does not tell it. */
  prefix?: string;
  /** What is of a chat is in local storage, unless this is a shared computer; not known of an earlier version. */
  local?: boolean;
  /** Moves what is kept of a chat to where it belongs; false when it did not fit. */
  settle?(): boolean;
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
  /** The chat is to be asked for again. */
  onStart?(): void;
}

/** The filters of past chats, as the address has them. */
interface PastFilters {
  text?: string;
  own?: string;
  department?: string;
  from?: string;
  until?: string;
  agent?: string;
  form?: string;
  locale?: string;
  rating?: string;
  ended?: string;
  tag?: string;
}

/** A chat that has ended, as `POST /api/agent/chats/search` has it. */
interface PastChat {
  chat_id: string;
  department: string;
  departments: string[];
  locale: string;
  opened_at: string;
  ended_at: string;
  name: string | null;
  form: { id?: string; title?: string; url?: string } | null;
  agents: { id: string; name: string | null }[];
  ended_by: string | null;
  rating: { helped: string | null; score: number | null } | null;
  left: boolean;
  complete: boolean;
  closing_reason?: string | null;
  tags?: string[];
}

/** A text by its key, with its values filled in. */
interface Translator {
  (key: string, values?: Record<string, unknown>): string;
  has(key: string | undefined): boolean;
  /** The language of the texts. */
  language: string;
}

/** The options of `upload`. */
interface UploadOptions {
  url: string;
  headers?: Record<string, string>;
  file: File;
  /** Gets 0 to 1. */
  onProgress(part: number): void;
}

/** What an upload was answered with, or why there is no answer. */
type Uploaded =
  | { status: number; text: string; failure?: undefined }
  | { failure: "network" | "cancelled"; status?: undefined; text?: undefined };

/** A way to reach a department. */
interface Way {
  kind: string;
  value: string;
  href?: string | null;
}

/** The button of a department (`GET /api/button`). */
interface Button {
  /** The id of its department. */
  department?: string;
  colour: "green" | "blue";
  reason?: string;
  revision?: number;
  contact: Way[];
  infofiche_url?: string;
  /** When it opens, and the time zone in which that is shown. */
  opens_at?: string | null;
  timezone?: string;
  /** Where somebody stands who chooses to wait now; null: nobody can. */
  queue?: QueuePlace | null;
  /** A question can be left while it is blue, and is answered within so many working days. */
  questions?: boolean;
  answer_within?: number | null;
  /** A message for a period, by language. */
  notice?: Record<string, string>;
  /** What a press does: it starts the chat, or a form comes first. */
  start?: "press" | "form";
  /** What happens to identifying numbers in texts, by their kind, where it is not the usual "mask". */
  numbers?: Record<string, "refuse" | "allow">;
  /** Added by the page: the server is out of reach. */
  lost?: boolean;
  /** Added by the page: the mistake that it may have made. */
  doubt?: "department" | "origin";
}

/** What the server gives for a question that was left: in a chat, or without one (`question_id`, `token`). */
interface QuestionReceipt {
  question_id?: string;
  token?: string;
  number?: string | null;
  /** Working days. */
  answer_within?: number | null;
  /** The last of these days, such as 2026-12-02. */
  answer_by?: string | null;
}

interface QuestionOutcome {
  receipt?: QuestionReceipt;
  code?: string;
  /** After which to try again. */
  seconds?: number;
}

/** The options of `questionForm`. */
interface QuestionFormOptions {
  t: Translator;
  base?: string;
  record?: ChatRecord;
  send?(given: { contact: string; text: string }): Promise<QuestionOutcome>;
  intro?: string;
  before?: Node[];
  after?: Node[];
  onCancel(): void;
  onLeft(receipt: QuestionReceipt): void;
  onLate(): void;
}

/** Limits and time zone (`GET /api/settings`). */
interface PageSettings {
  timezone: string;
  /** Bytes of one file. */
  attachment_bytes: number;
  /** Files of a chat. */
  attachment_count: number;
  /** Bytes of all files of a chat. */
  attachment_total: number;
}

/** The refusal of a file: a problem document with members of its own. */
interface UploadProblem {
  code: string;
  reason?: string;
  allowed?: string[];
  limit_bytes?: number;
  limit_files?: number;
  limit_total_bytes?: number;
}

/** A message without a receipt as the browser keeps it. */
interface KeptMessage {
  id: string;
  text?: string;
  attachment?: string;
  file?: Attachment;
  state?: "sending" | "failed";
  code?: string;
  wire?: boolean;
  /** The id of the chat. */
  chat?: string;
  /** Milliseconds since the epoch. */
  since?: number;
  /** The place among those of one page. */
  n?: number;
}

/** The answer to the start of a chat. */
interface StartAnswer {
  record?: ChatRecord;
  code?: string;
  /** Seconds until a new try. */
  seconds?: number;
  infofiche?: string;
  /** When it came, in ms since the epoch. */
  at?: number;
  /** Where in the form the citizen was, as the agent sees it. */
  place?: string;
}

/** The options of `startForm`. */
interface StartFormOptions {
  body: HTMLElement;
  base: string;
  store: Store;
  host: ChatElement;
  onStart(given: EloketChatStart, reservation?: string): Promise<StartAnswer>;
  ways(path?: string): Node | string;
}

/** A place in the queue as it is shown. */
interface QueuePlace {
  position: number | null;
  /** Seconds. */
  wait: number | null;
}

/** What the parts beside a citizen's conversation get (`lazy-panels.js`). */
interface WidgetPart {
  base: string;
  store: Store;
  record: ChatRecord;
  announce(words: string): void;
  session: ReturnType<typeof import("../widget/chat-session.js").joinChat>;
  element: HTMLElement;
  bar: ReturnType<typeof import("../widget/chat-view.js").composer> & { add(files: File[]): void; attach: HTMLElement };
}

/** A message as `messageList` shows it. */
interface ListItem {
  /** Stays the same from the press on "send" to the receipt. */
  key: string;
  id?: string;
  seq?: number;
  from: Party | "system" | "note";
  /** Written by who looks at it. */
  own: boolean;
  /** How the author is called; empty: nobody. */
  name?: string;
  text?: string;
  file?: Attachment;
  /** It has its receipt. */
  stored: boolean;
  state?: "sending" | "failed" | "sent" | "read";
  /** Why it failed. */
  code?: string;
  at?: string | null;
  /** The language of the text, where it is known. */
  lang?: string;
  /** Stands above the message. */
  badge?: string;
  /** Stands out among the words of the system. */
  aside?: boolean;
}

/** What `messageList` keeps of a message that is on the screen. */
interface DrawnItem {
  item: ListItem;
  looks: string;
  by: HTMLElement;
  bubble: HTMLElement;
  said: HTMLElement;
  time: HTMLElement;
}

/** The options of `messageList`. */
interface MessageListOptions {
  /** The texts `sending`, `sent`, `read`, `again`, `discard`, `file`, and `noteSending` where there are notes. */
  t: { (key: string, values?: Record<string, unknown>): string; language: string };
  /** The name of the list. */
  label: string;
  /** The button that leads to new messages below the screen. */
  jump: HTMLButtonElement;
  /** A file is a link to `href`, or a button that calls `onOpen`. */
  file: {
    href?(file: Attachment): string;
    onOpen?(file: Attachment): void;
    /** Puts a picture of the file in its place, where there is one. */
    preview?(file: Attachment, place: HTMLElement): Promise<void> | undefined;
  };
  /** The parts of a text; as by default, its links are links. */
  words?(text: string): (Node | string)[];
  icon?(name: "file" | "sending" | "read" | "failed" | "note"): Node | false | null;
  /** Why a message was not sent. */
  failure(item: ListItem): string;
  /** Codes of messages that would be refused again. */
  hopeless?: string[];
  onScroll?(atEnd: boolean): void;
  onAgain?(item: ListItem): void;
  onDiscard?(item: ListItem): void;
  /** So many messages came while the connection was lost. */
  announce?(count: number): void;
}

/** The options of `previews`. */
interface PreviewOptions {
  t(key: string, values?: Record<string, unknown>): string;
  ask(file: Attachment, size: "small" | "large"): Promise<Blob | null>;
  save(file: Attachment): void;
  /** What the larger view is put in. */
  within(): HTMLElement;
  /** Stands in the larger view too, before the picture. */
  news?(): HTMLElement;
}

/** The options of the widget's `messageLog`. */
interface MessageLogOptions {
  t: Translator;
  onPreview(file: Attachment, place: HTMLElement): Promise<void>;
  onFile(file: Attachment): void;
  onAgain(id: string): void;
  onDiscard(id: string): void;
  /** The end of the log is on the screen. */
  onSeen(): void;
  announce(words: string): void;
}

/** The options of the widget's `chatView`. */
interface ChatViewOptions {
  t: Translator;
  host: ChatElement;
  lang: string;
  base: string;
  store: Store;
  record: ChatRecord;
  announce(words: string | null): void;
  /** How else to reach the department. */
  ways(): Node | string;
  isOpen(): boolean;
  /** Gets each change, the colour of the dot and the last `seq` at the last welcome. */
  onState(chat: Conversation, colour: Dot, backlog: number): void;
  onUnread(count: number): void;
  /** The server does not know the chat. */
  onGone(): void;
  onEnded(): void;
  onUntold(untold: boolean): void;
  onStart(): void;
  onRestart(): void;
  onDismiss(): void;
}

/** The options of `chatTools`. */
interface ChatToolsOptions extends ChatViewOptions {
  session: ReturnType<typeof import("../widget/chat-session.js").joinChat>;
  element: HTMLElement;
  bar: ReturnType<typeof import("../widget/chat-view.js").composer>;
  /** Says something, and shows it when it is wrong. */
  tell(words: string, wrong?: boolean): void;
  /** Holds the place of the messages. */
  log: HTMLElement;
  notice: HTMLElement;
  /** Takes the buttons below the bar. */
  row: HTMLElement;
}

/** What the panel uses of an `<eloket-chat>`, of this version or of an earlier one. */
interface ChatElement extends HTMLElement {
  shadowRoot: ShadowRoot;
  frame: HTMLElement;
  launcher: HTMLElement | null;
  button?: Button;
  settings?: PageSettings;
  store?: Store;
  /** The answer to a press that came before the panel. */
  early?: Promise<StartAnswer | null> | null;
  /** Why the last start gave no chat, and what the page gave; until the tools have seen it. */
  refusal?: { code?: string; given?: EloketChatStart };
  /** Told each change of the button. */
  onbutton?: () => void;
  asChat(value: unknown): ChatRecord | null;
  ways(path?: string): Node | string;
  sheet?(path?: string): string;
  /** Fetches what the panel loads as soon as it is there. */
  toolsAhead?(): void;
  /** Of a page of version 2.0 or later. */
  chat?: { live: boolean; open: boolean; unread: number };
  load?(): Promise<any>;
  press?(given?: EloketChatStart): Promise<EloketChatStarted | undefined>;
  redraw?(): void;
  unfold?(open: boolean): void;
  /** Forgets the button and the panel. */
  stop?(): void;
  dot?: Dot | null;
  context?: EloketChatContext | null;
  /** The channel of the tabs; null without one. */
  tabs?: BroadcastChannel | null;
  /** Tells the page an event. */
  emit?(name: string, detail: unknown): void;
  show(change: { button?: Button; chat?: { live: boolean; open: boolean; unread: number } }): void;
}

/** What the modules of the launcher are given. */
interface LauncherOptions {
  base: string;
  /** Of the keys in the browser's storage. */
  prefix: string;
  /** Tries a module until it comes. */
  load(path: string): Promise<any>;
  /** Is rejected after `ms`. */
  within(ms: number, promise: Promise<any>): Promise<any>;
}

/** An answer over HTTP as the console's `ask` gives it. */
interface Answer {
  /** The server did it. */
  ok: boolean;
  /** 0: the server could not be reached. */
  status: number;
  code: string | null;
  body: any;
  /** Seconds. */
  retryAfter: number | null;
  /** The entity tag. */
  tag: string | null;
}

/** An internal note of a chat. */
interface Note {
  id: string;
  name: string;
  text: string;
  at: string;
}

/** A note of ours that has no receipt yet. */
interface PendingNote {
  id: string;
  text: string;
  state: "sending" | "failed";
  code?: string;
  wire: boolean;
}

/** The notes of a chat as `notes.js` keeps them. */
interface Notebook {
  notes: Note[];
  pending: PendingNote[];
}

/** What an agent writes in. */
type Kind = "message" | "note";

/** What an agent has written and not sent. */
interface Draft {
  text: string;
  note: string;
  kind: Kind;
  transfer?: string;
}

/** A block of a citizen. */
interface Block {
  minutes: number;
  reason: string;
  /** The address of the network is blocked too. */
  address: boolean;
}

/** Why a chat is over at this desk. */
interface Over {
  kind: "closed" | "gone";
  reason: string;
}

/** A chat on the desk of an agent (`chat-state.js`). */
interface DeskChat {
  id: string;
  about: {
    department: string;
    locale: string;
    name: string | null;
    question: string | null;
    form: AssignedChat["form"];
    opened_at: string;
    remind_after?: number;
    identify?: boolean;
  };
  talk: Conversation;
  book: Notebook;
  /** The connection of the citizen; null: not known. */
  online: boolean | null;
  /** The highest seq that was on the screen. */
  shown: number;
  /** The highest seq that the server was told of, on this connection. */
  told: number;
  /** The last seq when the server last counted the chat among those of this agent. */
  since: number;
  /** An agent has seen it. */
  seen: boolean;
  accepted: boolean;
  pressed: boolean;
  transferred: boolean;
  returned: string | null;
  /** Until when it can be accepted, in ms of `performance.now()`. */
  acceptAt: number | null;
  ended: Over | null;
  /** Of its log, where it ended before this page was opened; null: it is there. */
  recall: "loading" | "failed" | null;
  closing: boolean;
  closeTold: boolean;
  block: Block | null;
  blocking: boolean;
  refusing: boolean;
  refuseTold: boolean;
  transfer: boolean;
  /** The request to identify that was sent last, and when, in ms since 1970; null: none, or it was refused. */
  asking: { id: string; at: number } | null;
  silent: { warning: number; closes_at: string | null } | null;
  draft: Draft;
}

/** A chat as a later page finds it. */
interface KeptChat extends AssignedChat {
  shown: number;
  seen: boolean;
  ended: Over | null;
  closing: boolean;
  block: Block | null;
  refusing: boolean;
  draft: Draft;
  pending: KeptMessage[];
  notes: (Partial<PendingNote> & { id: string; text: string })[];
}

/** What a later page needs of a desk. */
interface KeptDesk {
  selected: string | null;
  why: string | null;
  chats: KeptChat[];
}

/** The desk of an agent (`desk-state.js`). */
interface Desk {
  agent: Omit<AgentWelcomeFrame["agent"], "state" | "wrap_ups"> & { state: string | null; why: string | null };
  /** The chats that have ended and that the agent wraps up. */
  wrapUps: WrapUp[];
  /** The frames beyond version 1 that the server accepts. */
  frames: string[];
  welcomed: boolean;
  chats: DeskChat[];
  selected: string | null;
}

/** What a change of the desk asks of the code around it. */
interface Effect {
  type: string;
  id?: string;
  code?: string;
  state?: string;
  why?: string | null;
  wrap?: WrapUp;
  added?: MessageFrame[];
}

/** A frame to the server. */
interface DeskFrame {
  type: string;
  [member: string]: unknown;
}

/** What is shown of a conversation (`timeline`). */
interface TimelineItem {
  kind: "message" | "note" | "pending" | "pending_note" | "returned" | "empty";
  key: string;
  id?: string;
  seq?: number;
  from?: MessageFrame["from"];
  name?: string;
  text?: string;
  attachment?: Attachment | string;
  file?: Attachment;
  event?: MessageFrame["event"];
  about?: About;
  at?: string | null;
  state?: "sending" | "failed";
  code?: string;
  /** Why a chat came back. */
  why?: string;
}

/** A question that a citizen left (`GET /api/questions`). */
interface LeftQuestion {
  chat_id: string;
  department: string;
  locale: string;
  name: string | null;
  contact: string;
  text: string;
  at: string;
  claimed?: { agent_id: string; name: string; at: string } | null;
  /** What the citizen got as receipt. */
  number?: string | null;
  /** `button`: left without a chat, perhaps with files. */
  source?: "chat" | "button";
  form?: { id?: string; title?: string; url?: string } | null;
  files?: Attachment[];
  /** The day that the citizen was given for the answer, such as 2026-12-02. */
  answer_by?: string | null;
  /** When it was opened again, after an agent had done it. */
  undone_at?: string | null;
}

/** A question that is done (`GET /api/questions/archive`). `name` is null where only the agent's id was stored. */
interface DoneQuestion extends LeftQuestion {
  done: { agent_id: string; name: string | null; at: string };
}

/** A colleague (`GET /api/agents`). */
interface Colleague {
  id: string;
  name: string;
  online: boolean;
  state: string;
  free: number;
}

/** What the buttons of a message do, each with the ids of its chat and its own. */
interface MessageActs {
  again?(chat: string, id: string): void;
  discard?(chat: string, id: string): void;
  againNote?(chat: string, id: string): void;
  discardNote?(chat: string, id: string): void;
}

/** What the buttons of the console do, most with the id of a chat. */
interface Acts extends MessageActs {
  open(id: string): void;
  accept(id: string): void;
  dismiss(id: string): void;
  refuse(id: string): void;
  overview(name: string): void;
  seen(): void;
  back(): void;
  upload(id: string, files: File[]): void;
  download(id: string): void;
  close(id: string): void;
  block(id: string): void;
  transfer(id: string): void;
  /** Asks the citizen to identify. */
  identify(id: string): void;
  post(id: string, text: string): void;
  note(id: string, text: string): void;
  draft(id: string, draft: Partial<Draft>): void;
  typing(id: string, active: boolean): void;
  setState(state: string, reason?: string): void;
  shortcuts(): void;
  logout(): void;
  logoutEverywhere(): void;
  /** Changes the own password; null where the agent logs in at the issuer. */
  password: (() => void) | null;
  /** Shows where the agent is logged in. */
  sessions(): void;
  language(language: string): void;
}

/** The options of the console's `messageLog`. */
interface ConsoleLogOptions {
  /** The id of the chat. */
  chat: string;
  /** How the citizen is called. */
  name: string;
  acts: MessageActs;
  /** How the agent is called. */
  agent: string;
  /** The id of the agent. */
  own: string;
  onScroll(): void;
}

/** The options of `startWork`. */
interface WorkOptions {
  agent: AgentWelcomeFrame["agent"];
  onChange(desk: Desk, link: ConnectionState, code?: number): void;
  onEffect(effect: Effect, desk: Desk): void;
  onLive(frame: LiveFrame): void;
  onDepartments(frame: OwnDepartmentsFrame): void;
  look(): { here: boolean; bottom: boolean };
  reading(chat: string, read: (reason: string | undefined) => Promise<Answer>): Promise<Answer>;
}

/** Who is logged in without being an agent (`GET /api/agent/me`). */
interface Officer {
  id: string;
  name: string;
  role: "auditor" | "administrator";
  /** The departments whose canned answers an administrator manages. */
  manages?: { id: string; names: Record<string, string> }[];
  /** Whether they may change their password here. */
  password?: boolean;
}

/** The options of `openStage`. */
interface StageOptions {
  t: Translator;
  agent: AgentWelcomeFrame["agent"];
  activity: { typing(): boolean; unused(): number };
  limits: { bytes: number; count: number; total: number };
  sound: ReturnType<typeof import("../console/notifications.js").chime>;
  say(words: string, how?: "announce" | "new" | "loud"): void;
  page: Record<
    "tools" | "login" | "desk" | "list" | "empty" | "chat" | "overview" | "problem" | "news" | "wraps" | "loading" | "skip",
    HTMLElement
  > & {
    title(words: string): void;
  };
  onLogout(open: number, everywhere?: boolean): void;
  onPassword: (() => void) | null;
  onSessions(): void;
  onLanguage(language: string): void;
  /** `bySupervisor`: a supervisor has logged the agent out. */
  onEnd(bySupervisor: boolean): void;
}

/** A canned answer (`GET /api/agent/canned-answers`). */
interface CannedAnswer {
  id: string;
  code: string;
  title: string;
  departments: string[];
  /** By language. */
  texts: Record<string, string>;
  /** One more with each change. */
  revision: number;
  changed_at: string;
  changed_by: { id: string; name: string };
}

/** A canned answer that a supervisor writes, kept until it is stored or given up. `id` null: a new one. */
interface CannedAnswerDraft {
  id: string | null;
  revision: number;
  code: string;
  title: string;
  departments: string[];
  texts: Record<string, string>;
  /** What a colleague has stored meanwhile. */
  conflict: CannedAnswer | null;
}

/** What the text bar of a chat needs of the canned answers. */
interface ChatAnswers {
  /** Those for this chat; null until they are known. */
  answers: CannedAnswer[] | null;
  failed: boolean;
  /** The citizen's language. */
  locale: string;
  /** What the variables stand for; null: not known. */
  values: Record<string, string | null>;
}
