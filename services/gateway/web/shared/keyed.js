/** Lists of elements that are drawn again and keep what stays. */
import { rootOf } from "./dom.js";

/**
 * Make `parent` hold one child for each item, in order, keeping the children (and the focus in them) that stay.
 * `make(item, old)` gets the child of the same `item.key`, or undefined, and returns the child to use.
 *
 * @param {Element} parent
 * @param {any[]} items
 * @param {(item: any, old: any) => HTMLElement} make
 */
export function keyed(parent, items, make) {
  const old = new Map(/** @type {HTMLElement[]} */ ([...parent.children]).map((child) => [child.dataset.key, child]));
  const held = /** @type {HTMLElement | null} */ (rootOf(parent).activeElement ?? null);
  let place = parent.firstElementChild;
  for (const item of items) {
    const before = old.get(item.key);
    const node = make(item, before);
    node.dataset.key = item.key;
    old.delete(item.key);
    if (before && node !== before) {
      if (place === before) place = before.nextElementSibling;
      before.remove();
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const node of old.values()) node.remove();
  // A child that moves loses the focus.
  if (held !== parent && parent.contains(held) && rootOf(parent).activeElement !== held) held?.focus({ preventScroll: true });
}
