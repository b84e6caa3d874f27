// Whether a connection goes over HTTP, remembered for the browser's session; the rest is loaded when it is needed.
const LASTS = 600_000; // ms; then a websocket is tried first again

/**
 * The way of a chat over HTTP; `url` is the address of the chat.
 *
 * @param {string} url
 * @param {Storage} [storage]
 * @returns {HttpWay}
 */
export function httpWay(url, storage) {
  const name = `eloket-chat ${new URL(url).host} http`;
  /** @type {{until: number, poll: boolean}} */
  let memory = { until: 0, poll: false };
  try {
    storage ??= sessionStorage;
    memory = { ...memory, ...JSON.parse(storage.getItem(name) ?? "{}") };
  } catch {
    // nothing is kept here
  }
  let tries = 0;
  return {
    needed: () => memory.until > Date.now(),
    async make(hello) {
      // some browsers keep a failure for as long as the page is there
      const path = "./http-socket.js" + (tries++ ? `?${tries}` : "");
      /** @type {typeof import("./http-socket.js")} */
      const { HttpSocket } = await import(path);
      tries = 0;
      return new HttpSocket({
        url,
        hello,
        poll: memory.poll && memory.until > Date.now(),
        onFirst(poll) {
          memory = { until: Date.now() + LASTS, poll };
          try {
            storage?.setItem(name, JSON.stringify(memory));
          } catch {
            // then for this page alone
          }
        },
      });
    },
  };
}
