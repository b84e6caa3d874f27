// What pages of version 1.1 import from /static/loket-chat/dom.js.
export { h, icon, sheet, setAttribute as set, setText as say } from "../shared/dom.js";
