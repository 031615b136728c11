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
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/**
 * A value in its unit: `1.25 s`, `3.40 MiB`, `12,345`.
 * @param {number} value
 * @param {string} unit
 */
export function formatValue(value, unit) {
  const scale = Object.hasOwn(SCALES, unit) ? SCALES[unit] : undefined;
  if (!scale) return unit === 'count' ? formatCount(value) : `${formatCount(value)} ${unit}`;
  for (const [size, name] of scale) {
    if (size > 1 && Math.abs(value) >= size) return `${(value / size).toFixed(2)} ${name}`;
  }
  return `${value} ${scale[scale.length - 1][1]}`;
}

/**
 * A part of a whole in per cent. A part that is there never reads as nothing.
 * @param {number} part
 * @param {number} whole
 */
export function formatShare(part, whole) {
  if (part === 0 || whole === 0) return '0 %';
  const share = (100 * part) / whole;
  if (share > 0 && share < 0.01) return '< 0.01 %';
  return `${share.toFixed(Math.abs(share) < 1 ? 2 : 1)} %`;
}
