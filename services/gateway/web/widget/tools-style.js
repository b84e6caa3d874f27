// The looks of what comes after the panel has opened: messages, forms, choices, the end.
import { sheet } from "../shared/style-sheets.js";

export const toolsSheet = sheet(`
.eloket[data-avoid=other] { --right: auto; --left: var(--x); }
:host([side=left]) .eloket[data-avoid=other] { --right: var(--x); --left: auto; }
:is([data-avoid=fold], [data-avoid=top]) > .panel { height: auto; }
:is([data-avoid=fold], [data-avoid=top]) > .panel > .body { display: none; }
[data-avoid=top] > .panel { top: var(--x); bottom: auto; }
@media (min-width: 30.01rem) and (min-height: 30.01rem) { .body { overflow-y: auto; } }
.bar { position: sticky; bottom: 0; background: var(--paper); }
.panel, .body { scroll-padding-bottom: 5rem; }
.row:not(.tools) { gap: .5rem; }
.danger, .danger:hover { background: var(--wrong); color: var(--paper); font-weight: 600; }
.choice .tool, .ended .tool { border-color: var(--edge); }
.start { display: flex; flex-direction: column; gap: .4rem; padding: 1rem; overflow-y: auto; }
.start :is(label, .primary) { margin-top: .6rem; font-weight: 600; }
:is(.start input, .start textarea) { width: 100%; padding: .55rem .7rem; border: 1px solid var(--edge); border-radius: .4rem; background: var(--paper); font-size: max(1rem, 16px); }
.log > :first-child { margin-top: auto; }
.message { align-self: flex-start; max-width: 86%; }
.bubble { padding: .5rem .8rem; border-radius: .9rem .9rem .9rem .2rem; background: var(--soft); white-space: pre-wrap; overflow-wrap: anywhere; }
.own { align-self: flex-end; }
.own .bubble { border-radius: .9rem .9rem .2rem; background: var(--mine); }
.own .delivery { justify-content: end; }
.follows { margin-top: -.35rem; }
.message.system { align-self: center; text-align: center; }
.system .bubble { padding: .15rem .6rem; background: none; color: var(--muted); font-size: .875rem; }
.system :is(.delivery, .by), .delivery time:empty { display: none; }
:is(.own, .follows) > .by, .led > .delivery { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.by { margin: 0 .2rem .15rem; font-size: .875rem; font-weight: 600; }
.delivery { display: flex; flex-wrap: wrap; gap: 0 .35rem; margin: .1rem .2rem 0; color: var(--muted); font-size: .8125rem; }
.sending .bubble { background: none; box-shadow: inset 0 0 0 1px var(--edge); color: var(--muted); }
.failed .bubble { background: none; box-shadow: inset 0 0 0 2px var(--wrong); }
.failed .delivery { color: var(--wrong); }
.file { gap: .5rem; min-height: 1.75rem; padding: 0; text-align: start; }
.file bdi { text-decoration: underline; }
.file small { white-space: nowrap; }
.typing { min-height: 1.6rem; }
.jump, .jump:hover { align-self: center; min-height: 2rem; margin: -2.4rem 0 .4rem; border-radius: 1rem; background: var(--press); color: #fff; font-size: .875rem; }
.tools button { padding-inline: .3rem; }
.end-chat { margin-inline-start: auto; color: var(--wrong); }
.choice, .ended { padding: .75rem 1rem; border-top: 1px solid var(--line); background: var(--soft); }
.choice p, .ended p { margin-bottom: .4rem; }
.choice .tool { background: var(--paper); }
.reason { font-weight: 600; }
.reason:focus { outline: none; }
@media (forced-colors: active) { .bubble, .danger, .jump { border: 1px solid CanvasText; } }
`);
