// How sizes read.

/**
 * Return the format of a size in bytes: whole kB, from 1,000 kB on MB with one decimal, in powers of 1,000, rounded up.
 *
 * @param {string} lang
 */
export function sizes(lang) {
  /** @param {string} unit @param {number} maximumFractionDigits */
  const format = (unit, maximumFractionDigits) => new Intl.NumberFormat(lang, { style: "unit", unit, maximumFractionDigits });
  const [kilo, mega] = [format("kilobyte", 0), format("megabyte", 1)];
  return (/** @type {number} */ bytes) =>
    bytes > 999_000 ? mega.format(Math.ceil(bytes / 100_000) / 10) : kilo.format(Math.ceil(bytes / 1000));
}
