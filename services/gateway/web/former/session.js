// What pages of version 1.1 import from /static/loket-chat/session.js.
export * from "./chat-session.js";
export { createStore } from "./store.js";
export { newId } from "../shared/conversation.js";
