/**
 * @file The page after an identification that succeeded: closes its window where the browser allows it, after a time that its text gives. It
 * stays when a key or a pointer was pressed in it: 20 seconds are the least that WCAG 2.2.1 asks for such a press.
 */

const TIME = 20_000; // milliseconds

const closing = setTimeout(() => window.close(), TIME);
for (const type of ["keydown", "pointerdown"]) addEventListener(type, () => clearTimeout(closing), { once: true });
