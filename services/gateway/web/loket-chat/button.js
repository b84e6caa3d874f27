// Follows the button: its event stream, and a look now and then, since a dead stream looks like one without news.
const CHECK = 45_000; // ms
const SILENT = 120_000; // not heard for so long: blue

/** Tells `onButton(button)` each change, in the order of revisions; not heard is blue. Returns what stops it. */
export function followButton(base, department, onButton) {
  const query = department ? `?department=${encodeURIComponent(department)}` : "";
  let revision = -1;
  let heard = Date.now();
  let tries = 0;
  let stream, check, retry;

  const take = (button) => {
    heard = Date.now();
    if (button.revision < revision) return;
    revision = button.revision;
    onButton(button);
  };
  const look = async () => {
    clearTimeout(check);
    check = setTimeout(look, CHECK * (0.75 + Math.random() / 2));
    try {
      const answer = await fetch(`${base}/api/button${query}`, { signal: AbortSignal.timeout(10_000), credentials: "omit" });
      if (!answer.ok) throw answer.status;
      take(await answer.json());
    } catch {
      if (revision < 0 || Date.now() - heard > SILENT) onButton({ colour: "blue", reason: "unknown" });
    }
  };
  // Browsers allow few connections to one server: a hidden page holds none.
  const halt = () => {
    stream?.close();
    clearTimeout(check);
    clearTimeout(retry);
  };
  const start = () => {
    halt();
    if (document.hidden) return;
    look();
    stream = new EventSource(`${base}/api/button/events${query}`);
    stream.addEventListener("button", (event) => {
      tries = 0;
      take(JSON.parse(event.data));
    });
    stream.onerror = () => {
      stream.close();
      clearTimeout(retry);
      retry = setTimeout(start, Math.random() * Math.min(30_000, 1000 * 2 ** tries++));
    };
  };
  document.addEventListener("visibilitychange", start);
  addEventListener("online", start);
  start();
  return () => {
    halt();
    document.removeEventListener("visibilitychange", start);
    removeEventListener("online", start);
  };
}
