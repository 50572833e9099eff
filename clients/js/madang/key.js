/**
 * A UUID of version 7 (RFC 9562 §5.7): time-ordered, so that the server's index of keys grows at its end.
 * @param {number} now milliseconds since the epoch
 * @param {Uint8Array} random 16 random bytes; the first six give way to the time
 */
export function keyFrom(now, random) {
  const bytes = Uint8Array.from(random);
  for (let i = 0, rest = now; i < 6; i += 1, rest = Math.floor(rest / 256)) bytes[5 - i] = rest % 256;
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** One that nobody else has. */
export const newKey = () => keyFrom(Date.now(), crypto.getRandomValues(new Uint8Array(16)));
