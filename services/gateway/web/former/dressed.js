// What pages of version 1.1 import from /static/loket-chat/dressed.js.
export { loadPart as dressed } from "./load-part.js";
