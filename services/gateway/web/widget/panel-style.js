// The looks of the panel as it opens; tools-style.js has those of what comes right after that.
import { sheet } from "../shared/style-sheets.js";

export const panelSheet = sheet(`
.eloket { --paper: #fff; --ink: #1a2632; --muted: #55626f; --line: #d6dce2; --edge: #76828e; --soft: #f3f5f8; --mine: #dbe9f8; --link: #0a4f94; --wrong: #a61b13;
  --press: var(--accent); --good: var(--green); }
@media (prefers-color-scheme: dark) { .eloket { --paper: #161d24; --ink: #e9eef3; --muted: #aeb9c4; --line: #34404c; --edge: #8795a3; --soft: #232d37; --mine: #17406b;
  --link: #93c8ff; --wrong: #ff9b92; --press: #1b63b0; --good: #5ed48b; } }
.panel { position: fixed; z-index: 2147483001; inset: auto var(--right, 1rem) var(--y, 1rem) var(--left, auto); flex-direction: column; width: min(25rem, calc(100vw - 2rem));
  height: min(40rem, calc(100vh - 1rem - var(--y, 1rem))); height: min(40rem, calc(100dvh - 1rem - var(--y, 1rem)));
  max-width: none; max-height: none; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: .75rem; overflow: hidden;
  background: var(--paper); color: var(--ink); box-shadow: 0 2px 6px #0002, 0 12px 40px #0005; }
.panel[open] { display: flex; }
.head { display: flex; align-items: center; justify-content: space-between; padding: .5rem .5rem .5rem 1rem; background: var(--accent); color: #fff; }
h2 { margin: 0; font: inherit; font-size: 1.125rem; font-weight: 600; }
h2:focus { outline: none; }
.body, .chat { display: flex; flex: 1; flex-direction: column; min-height: 0; }
.chat > :not(.log) { flex: none; }
p { margin: 0; }
button, input, textarea { font: inherit; color: inherit; }
button { display: inline-flex; align-items: center; justify-content: center; gap: .4rem; min-height: 2.75rem; padding: .3rem .75rem; border: 1px solid transparent; border-radius: .4rem; background: none; cursor: pointer; }
button .icon { width: 1.25em; height: 1.25em; }
:where(button:not(.launcher)):hover { background: var(--soft); }
:is(button, input, textarea, a, .log):focus-visible { outline: 3px solid var(--link); outline-offset: 1px; }
.log:focus-visible { outline-offset: -3px; }
.fold { min-width: 2.75rem; padding: 0; }
.fold:is(:hover, :focus-visible) { background: #fff3; outline-color: #fff; }
.primary, .primary:hover { background: var(--press); color: #fff; font-weight: 600; padding-inline: 1.1rem; }
.primary[aria-disabled] { filter: saturate(.4); cursor: progress; }
.text { min-height: 1.75rem; padding: 0 .25rem; color: var(--link); text-decoration: underline; }
a { color: var(--link); overflow-wrap: anywhere; }
.row { display: flex; flex-wrap: wrap; gap: .25rem .5rem; }
.notice { padding: .6rem .8rem; border-inline-start: 4px solid var(--wrong); border-radius: .25rem; background: var(--soft); }
.far { margin: 0; border-radius: 0; font-size: .9375rem; max-height: 45%; overflow-y: auto; }
.panel .ways { margin: .25rem 0 0; }
.status { display: flex; align-items: center; gap: .6rem; padding: .55rem 1rem; border-bottom: 1px solid var(--line); background: var(--soft); font-size: .9375rem; line-height: 1.3; }
.shared { padding: .4rem 1rem; border-bottom: 1px solid var(--line); color: var(--muted); font-size: .875rem; line-height: 1.3; overflow-wrap: anywhere; }
.dot { display: flex; padding: .2rem; border-radius: 50%; background: var(--muted); color: var(--paper); forced-color-adjust: none; }
.dot .icon { width: .9rem; height: .9rem; stroke-width: 3; }
.dot[data-dot=green] { background: var(--good); }
.dot[data-dot=red] { background: var(--wrong); }
.log { position: relative; display: flex; flex: 1 1 6rem; flex-direction: column; gap: .6rem; min-height: 6rem; padding: 1rem; overflow-y: auto; overscroll-behavior: contain; }
.typing, .count { padding: 0 1rem .2rem; color: var(--muted); font-size: .875rem; }
.bar { display: flex; align-items: flex-end; gap: .5rem; padding: .6rem .75rem .25rem; border-top: 1px solid var(--line); }
.input { width: 100%; padding: .55rem .7rem; border: 1px solid var(--edge); border-radius: .4rem; background: var(--paper); font-size: max(1rem, 16px); flex: 1; min-width: 0; min-height: 2.75rem; max-height: 9rem; resize: none; field-sizing: content; }
::placeholder { color: var(--muted); }
.input[aria-invalid] { border-color: var(--wrong); }
.tools { min-height: calc(2.75rem + max(.4rem, env(safe-area-inset-bottom))); padding: 0 .4rem max(.4rem, env(safe-area-inset-bottom)); font-size: .9375rem; gap: .25rem; }
@media (max-width: 30rem), (max-height: 30rem) {
  .panel { inset: var(--top, 0) 0 auto 0; width: 100vw; height: var(--height, 100vh); height: var(--height, 100dvh); border: 0; border-radius: 0; overflow-y: auto; }
  .head { flex: none; } .chat { flex: 1 0 auto; min-height: 0; } .body { flex: 1 0 auto; max-height: max(100% - 3.75rem, 20rem); } }
@media (forced-colors: active) { .panel, .primary { border: 1px solid CanvasText; } .status, .head { border-bottom: 1px solid CanvasText; } }
`);
