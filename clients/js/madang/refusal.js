/**
 * Why a WebSocket did not open. A browser tells nothing but "1006", so the same credential
 * is put before the HTTP side of the server, and its answer read.
 *
 * @typedef {{ kind: 'unreachable' }
 *   | { kind: 'busy', retryAfterMs: number }
 *   | { kind: 'unknown', message: string|null }
 *   | { kind: 'forbidden', message: string|null }} Refusal
 *
 * `unreachable`: nobody answers. `busy`: the credential is good, or could not be judged
 * now; come again later. `unknown`: the token or the name is not taken. `forbidden`: it
 * is, and may not come in.
 */

/** Where the credential is good and the socket did not open all the same, the server is full. */
const FULL_RETRY_MS = 1000;

/**
 * @param {number} status
 * @param {string|null} retryAfter the `Retry-After` header, in seconds
 * @param {any} body the JSON body, or null
 * @returns {Refusal}
 */
export function refusalFrom(status, retryAfter, body) {
  const message = typeof body?.message === 'string' ? body.message : null;
  if (status === 401) return { kind: 'unknown', message };
  if (status === 403) return { kind: 'forbidden', message };
  // A name that breaks the rules; other 400s are not about who we are.
  if (status === 400 && body?.field === 'name') return { kind: 'unknown', message };
  // From a proxy whose server is away.
  if (status === 502 || status === 504) return { kind: 'unreachable' };
  const seconds = Number(retryAfter);
  return { kind: 'busy', retryAfterMs: seconds > 0 ? seconds * 1000 : FULL_RETRY_MS };
}

/**
 * @param {URL} base the server's address
 * @param {URLSearchParams} credential `token` or `name`
 * @returns {Promise<Refusal>}
 */
export async function askWhy(base, credential) {
  const url = new URL('api/rooms', base);
  url.search = credential.toString();
  url.searchParams.set('limit', '1');
  try {
    const answer = await fetch(url, { cache: 'no-store', redirect: 'manual', signal: AbortSignal.timeout(5000) });
    const body = await answer.json().catch(() => null);
    return refusalFrom(answer.status, answer.headers.get('retry-after'), body);
  } catch {
    return { kind: 'unreachable' };
  }
}
