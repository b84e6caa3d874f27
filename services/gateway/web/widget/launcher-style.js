// The launcher's looks; a page sets the --eloket-… properties on <eloket-chat> to make the colours its own.
// No imports: what a module imports cannot be tried again.
export const launcherSheet = new CSSStyleSheet();
launcherSheet.replaceSync(`
:host { all: initial; display: block; color-scheme: light dark;
  --green: var(--eloket-green, #14713a); --blue: var(--eloket-blue, #0a5aa8); --accent: var(--eloket-accent, #0a4178); --focus: #ffbf00; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.eloket { font: 400 1rem/1.45 var(--eloket-font, system-ui, "Segoe UI", Roboto, Arial, sans-serif); }
.icon { width: 1.5em; height: 1.5em; flex: none; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.launcher { position: fixed; z-index: 2147483000; inset: auto 1rem max(1rem, env(safe-area-inset-bottom)) auto;
  display: flex; align-items: center; gap: .75rem; max-width: calc(100vw - 2rem); min-height: 3.5rem; padding: .6rem 1.4rem .6rem 1.1rem;
  border: 2px solid transparent; border-radius: 2rem; color: #fff; font: inherit; text-align: start; text-decoration: none; cursor: pointer;
  box-shadow: 0 1px 2px #0003, 0 6px 20px #0004; transition: transform .15s; }
.green { background: var(--green); }
.blue { background: var(--blue); }
.live { background: var(--accent); }
.launcher:hover { transform: translateY(-2px); }
.launcher:focus-visible { outline: 3px solid var(--focus); box-shadow: 0 0 0 6px #111; }
.words { display: grid; line-height: 1.25; }
.words b { font-weight: 600; }
.words small { font-size: .875em; }
.badge { min-width: 1.6em; padding: 0 .4em; border-radius: 1em; background: #fff; color: #111; font-weight: 700; text-align: center; }
.launcher[aria-busy] { cursor: progress; }
.reach { position: fixed; z-index: 2147483000; inset: auto 1rem calc(max(1rem, env(safe-area-inset-bottom)) + 4.75rem) auto; width: min(22rem, calc(100vw - 2rem));
  max-height: calc(100dvh - 7rem); overflow-y: auto; padding: 1rem; border: 1px solid #8888; border-radius: .75rem; background: Canvas; color: CanvasText; box-shadow: 0 2px 6px #0002, 0 12px 40px #0005; }
.reach p { margin: 0; }
.reach:focus { outline: none; }
.reach :is(a, button):focus-visible { outline: 3px solid LinkText; outline-offset: 1px; }
.reach button { min-height: 2.75rem; padding: .3rem .9rem; border: 1px solid; border-radius: .4rem; background: none; color: inherit; font: inherit; cursor: pointer; }
.ways { margin: .5rem 0; padding: 0; list-style: none; overflow-wrap: anywhere; }
.ways a { display: inline-block; padding-block: .2rem; color: var(--link, LinkText); }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
@media (forced-colors: active) { .launcher { border-color: ButtonText; } }
@media print { :host { display: none; } }
`);
