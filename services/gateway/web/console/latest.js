/** One request at a time, for what was wished last: the server answers an agent's searches and reports one after the other. */

/**
 * `{run(...wish), stop()}`. A wish that comes while an earlier one is asked waits, and replaces one that waits already.
 *
 * @template {any[]} Wish
 * @param {(current: () => boolean, ...wish: Wish) => Promise<void>} ask `current()`: whether this is still the last wish. It may throw: what waits
 *   is asked all the same.
 */
export function latest(ask) {
  /** @type {Wish | null} */
  let waiting = null;
  let [asking, stopped] = [false, false];
  const current = () => !stopped && !waiting;

  /** @param {Wish} wish */
  async function run(...wish) {
    waiting = wish;
    if (asking) return;
    asking = true;
    try {
      while (waiting && !stopped) {
        const now = waiting;
        waiting = null;
        await ask(current, ...now);
      }
    } finally {
      asking = false;
      if (waiting && !stopped) run(...waiting);
    }
  }

  return { run, stop: () => void (stopped = true) };
}
