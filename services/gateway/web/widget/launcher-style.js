// The launcher's looks; a page sets the --eloket-… properties on <eloket-chat> to make the colours and the place its own.
// No imports: what a module imports cannot be tried again.
// Lengths are in em of `medium`, the size that the reader chose in the browser: a page changes what rem is.
const looks = `
:host { all: initial; display: block; }
.eloket { all: initial; position: fixed; inset: auto 0 0 auto; width: 0; height: 0; direction: ltr; color-scheme: light dark;
  font: 400 medium/1.45 var(--eloket-font, system-ui, "Segoe UI", Roboto, Arial, sans-serif);
  --green: var(--eloket-green, #14713a); --blue: var(--eloket-blue, #0a5aa8); --accent: var(--eloket-accent, #0a4178); --focus: #ffbf00;
  --x: var(--eloket-chat-offset-inline, 1em); --y: max(var(--eloket-chat-offset-bottom, 1em), env(safe-area-inset-bottom)); --left: auto; --right: var(--x); }
:host([side=left]) .eloket { --left: var(--x); --right: auto; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.icon { width: 1.5em; height: 1.5em; flex: none; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.launcher { position: fixed; z-index: 2147483000; inset: auto var(--right) var(--y) var(--left);
  display: flex; align-items: center; gap: .75em; max-width: calc(100vw - 2 * var(--x)); min-height: 3.5em; padding: .6em 1.4em .6em 1.1em;
  border: 2px solid transparent; border-radius: 2em; color: #fff; font: inherit; text-align: start; text-decoration: none; cursor: pointer;
  box-shadow: 0 1px 2px #0003, 0 6px 20px #0004; transition: transform .15s; }
:host([hide-launcher]) .launcher { display: none; }
.green { background: var(--green); }
.blue { background: var(--blue); }
.live { background: var(--accent); }
.launcher:hover { transform: translateY(-2px); }
.launcher:focus-visible { outline: 3px solid var(--focus); box-shadow: 0 0 0 6px #111; }
.words { display: grid; line-height: 1.25; }
.words b { font-weight: 600; }
.words small { font-size: .875em; }
.launcher[aria-busy] { cursor: progress; }
@media (max-width: 30rem) {
  .launcher:not(.said) { justify-content: center; width: 3.5em; padding: 0; }
  .launcher:not(.said) .words { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); } }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
@media (forced-colors: active) { .launcher { border-color: ButtonText; } }
@media print { .eloket { display: none; } }
`;

/** @type {CSSStyleSheet | HTMLStyleElement} */
export let launcherSheet;
try {
  launcherSheet = new CSSStyleSheet();
  launcherSheet.replaceSync(looks);
} catch {
  launcherSheet = document.createElement("style"); // Safari before 16.4
  launcherSheet.textContent = looks;
}
