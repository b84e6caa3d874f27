/** What draws the attention of an agent: a chime, which is on until it is switched off, and a notification of the desktop. */
import { chime as soundSwitch } from "../shared/attention.js";
import { choice, choose } from "./storage.js";

export { notify, notifyState } from "../shared/attention.js";

/** The sound switch: `{on, ready(), set(on), play("arrived" | "message")}`. */
export const chime = () => soundSwitch({ on: choice("sound") !== "off", keep: (on) => choose("sound", on ? "on" : "off") });
