// What flame puts into the page packed, unpacked.

/**
 * Bytes from their text in the page: base64 of gzip.
 * @param {string} base64
 * @returns {Promise<Uint8Array>}
 */
export async function unpack(base64) {
  if (typeof DecompressionStream === 'undefined') {
    throw new Error('This browser is too old to unpack the profile.');
  }
  const text = atob(base64);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
