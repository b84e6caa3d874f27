/**
 * @file The page after an identification that succeeded: closes its window where the browser allows it, after a moment for reading. It stays
 * when a key or a pointer was pressed in it.
 */

const READING = 4_000; // milliseconds

const closing = setTimeout(() => window.close(), READING);
for (const type of ["keydown", "pointerdown"]) addEventListener(type, () => clearTimeout(closing), { once: true });
