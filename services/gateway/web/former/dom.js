// What pages of version 1.1 import from /static/loket-chat/dom.js.
export { h, icon, setAttribute as set, setText as say } from "../shared/dom.js";
export { sheet } from "../shared/style-sheets.js";
