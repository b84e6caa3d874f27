// What pages of version 2.0 and before import from /static/shared/close-codes.js.
import { FINAL } from "./connection.js";

export { LATE_HELLO } from "./connection.js";
export const closeCode = (code) => ({ code, retry: !FINAL.includes(code) });
