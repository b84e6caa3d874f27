// The protocol's close codes, as in the gateway's own table. retry: connect again by itself.
export const CLOSE_CODES = Object.freeze(
  [
    { code: 1000, name: "ended", retry: false },
    { code: 1001, name: "going_away", retry: true },
    { code: 1006, name: "lost", retry: true },
    { code: 1009, name: "frame_too_big", retry: true },
    { code: 1011, name: "server_error", retry: true },
    { code: 1012, name: "restart", retry: true },
    { code: 4400, name: "bad_frame", retry: false },
    { code: 4401, name: "unauthenticated", retry: false },
    { code: 4403, name: "origin_not_allowed", retry: false },
    { code: 4404, name: "no_such_chat", retry: false },
    { code: 4409, name: "too_many_connections", retry: false },
    { code: 4429, name: "too_many_frames", retry: true },
    { code: 4430, name: "too_slow", retry: true },
  ].map((row) => Object.freeze(row)),
);

/** The reason with which 4401 says that the hello came too late, not that the token is bad: a page that slept may try again. */
export const LATE_HELLO = "no hello in time";

/**
 * The row of a code; an unknown one may be tried again.
 *
 * @param {number} [code]
 */
export function closeCode(code) {
  return CLOSE_CODES.find((row) => row.code === code) ?? { code, name: "lost", retry: true };
}
