// Numbers for people, as flame's own reports write them.

/** @type {Record<string, [number, string][]>} */
const SCALES = {
  nanoseconds: [[1e9, 's'], [1e6, 'ms'], [1e3, 'us'], [1, 'ns']],
  bytes: [[1024 ** 3, 'GiB'], [1024 ** 2, 'MiB'], [1024, 'KiB'], [1, 'B']],
};

/**
 * A count with a comma between each three digits.
 * @param {number} count
 */
export function formatCount(count) {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/**
 * A value in its unit: `1.25 s`, `3.40 MiB`, `12,345`.
 * @param {number} value
 * @param {string} unit
 */
export function formatValue(value, unit) {
  const scale = Object.hasOwn(SCALES, unit) ? SCALES[unit] : undefined;
  if (!scale) return unit === 'count' ? formatCount(value) : `${formatCount(value)} ${unit}`;
  const rounded = Math.round(value);
  for (const [size, name] of scale) {
    if (size > 1 && Math.abs(value) >= size) return `${(value / size).toFixed(2)} ${name}`;
  }
  return `${rounded} ${scale[scale.length - 1][1]}`;
}

/**
 * A part of a whole in per cent. A part that is there never reads as nothing, and of a whole that is
 * nothing or less, as values below zero make it, there are no shares.
 * @param {number} part
 * @param {number} whole
 */
export function formatShare(part, whole) {
  if (part === 0) return '0 %';
  if (!(whole > 0)) return '-';
  const share = (100 * part) / whole;
  if (share > 0 && share < 0.01) return '< 0.01 %';
  return `${share.toFixed(Math.abs(share) < 1 ? 2 : 1)} %`;
}

/**
 * A difference for people, with its sign: `+12.3 %`, `new`, `gone`.
 * @param {number} now
 * @param {number} before
 */
export function formatChange(now, before) {
  if (now === before) return '\u00b10 %';
  if (before === 0) return 'new';
  if (now === 0) return 'gone';
  const share = (100 * (now - before)) / Math.abs(before);
  const text = Math.abs(share) >= 1000 ? `${(now / before).toFixed(0)}\u00d7`
    : `${share > 0 ? '+' : ''}${share.toFixed(Math.abs(share) < 10 ? 1 : 0)} %`;
  return text;
}

/**
 * A value with its sign, also where it is above zero.
 * @param {number} value
 * @param {string} unit
 */
export function formatDelta(value, unit) {
  return `${value > 0 ? '+' : ''}${formatValue(Math.round(value), unit)}`;
}

/**
 * A standard error as a share of its value.
 * @param {number} error
 * @param {number} value
 */
export function formatError(error, value) {
  return `±${formatShare(error, value)}`;
}
