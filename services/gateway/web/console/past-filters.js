/** RULES of the filters of past chats: in the address of the page, and as the server is asked. */

/** The part of the address after `#` with which the page of past chats begins. It never goes to a server. */
export const ADDRESS = "#chats";
/** @type {(keyof PastFilters)[]} */
export const NAMES = ["text", "own", "department", "from", "until", "agent", "form", "locale", "rating", "ended", "tag"];
export const LANGUAGES = ["nl", "fr", "de", "en"];
export const ENDS = ["citizen", "agent", "inactive", "no_agent"];
/** What a rating can be filtered by: the answer to "were you helped", or the score. */
export const RATINGS = ["yes", "partly", "no", "5", "4", "3", "2", "1"];
const FOR_SUPERVISORS = ["own", "agent", "rating"];
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const OPTION = /^[a-z0-9][a-z0-9-]{0,39}$/;
const LONGEST = 200; // characters of the words
/** @type {Record<string, (value: string) => boolean>} */
const FITS = {
  text: (value) => value.length <= LONGEST,
  own: (value) => value === "yes",
  from: (value) => DAY.test(value),
  until: (value) => DAY.test(value),
  locale: (value) => LANGUAGES.includes(value),
  rating: (value) => RATINGS.includes(value),
  ended: (value) => ENDS.includes(value),
  tag: (value) => OPTION.test(value),
};

/**
 * The filters in this address; what does not fit is left out. An agent has no filters of supervisors.
 *
 * @param {string} hash
 * @param {boolean} supervisor
 * @returns {PastFilters}
 */
export function filtersOf(hash, supervisor) {
  const given = new URLSearchParams(isPast(hash) ? hash.slice(ADDRESS.length + 1) : "");
  /** @type {Record<string, string>} */
  const filters = {};
  for (const name of NAMES) {
    const value = (given.get(name) ?? "").trim();
    if (value && (FITS[name]?.(value) ?? true) && (supervisor || !FOR_SUPERVISORS.includes(name))) filters[name] = value;
  }
  return filters;
}

/** @param {string} hash */
export const isPast = (hash) => hash === ADDRESS || hash.startsWith(`${ADDRESS}?`);

/**
 * The address of these filters.
 *
 * @param {PastFilters} filters
 */
export function addressOf(filters) {
  const given = NAMES.filter((name) => filters[name]).map((name) => [name, filters[name] ?? ""]);
  return given.length ? `${ADDRESS}?${new URLSearchParams(given)}` : ADDRESS;
}

/**
 * What the server is asked with these filters; `before` is the `next` of the page before.
 *
 * @param {PastFilters} filters
 * @param {string | null} [before]
 */
export function requestOf({ text, own, department, from, until, agent, form, locale, rating, ended, tag }, before) {
  const score = Number(rating) || undefined;
  return {
    ...{ text, department, from, until, agent, form, locale, score },
    own: own ? true : undefined,
    helped: score ? undefined : rating,
    ended_by: ended,
    tag,
    before: before ?? undefined,
  };
}
