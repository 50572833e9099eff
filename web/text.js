/**
 * What a person wrote, taken apart into plain text and links. Nothing here makes
 * markup: the pieces become text nodes and anchors in `dom.js`.
 *
 * @typedef {{ text: string, href: string|null }} Piece
 */

const LINK = /https?:\/\/[^\s<>"'`{}|\\^]+/giu;
/** A plain ASCII host with a Korean particle stuck to it, as in "https://madang.kr에서". */
const HOST_WITH_PARTICLE = /^(https?:\/\/(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?)\p{Script=Hangul}/iu;
const CLOSING = { ')': '(', ']': '[', '」': '「', '』': '『', '）': '（' };

/** @param {string} text @returns {Piece[]} */
export function pieces(text) {
  /** @type {Piece[]} */
  const found = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const written = linkPart(match[0]);
    const href = webAddress(written);
    if (href === null) continue;
    if (match.index > end) found.push({ text: text.slice(end, match.index), href: null });
    found.push({ text: written, href });
    end = match.index + written.length;
  }
  if (end < text.length) found.push({ text: text.slice(end), href: null });
  return found;
}

/** The address without what belongs to the sentence around it. @param {string} run */
function linkPart(run) {
  let link = HOST_WITH_PARTICLE.exec(run)?.[1] ?? run;
  for (;;) {
    const last = link.at(-1) ?? '';
    if (/[.,;:!?'"*…。、，！？]/u.test(last)) link = link.slice(0, -1);
    else if (last in CLOSING && !isBalanced(link, last)) link = link.slice(0, -1);
    else return link;
  }
}

/** @param {string} link @param {string} closing */
function isBalanced(link, closing) {
  const opening = CLOSING[/** @type {keyof typeof CLOSING} */ (closing)];
  return link.split(opening).length >= link.split(closing).length;
}

/** The normal form of an http or https address, or null. @param {string} written */
function webAddress(written) {
  try {
    const url = new URL(written);
    return (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname ? url.href : null;
  } catch {
    return null;
  }
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
/** Enough for a row of faces; a wall of them stays small. */
const LARGE_EMOJI_AT_MOST = 8;

/** What a reader calls characters: one syllable, one face, one flag. @param {string} text */
export function characters(text) {
  return Array.from(graphemes.segment(text), ({ segment }) => segment);
}

/** @param {string} text */
export function isEmojiOnly(text) {
  const visible = characters(text).filter((one) => one.trim() !== '');
  return visible.length > 0 && visible.length <= LARGE_EMOJI_AT_MOST && visible.every(isEmoji);
}

/** @param {string} character */
function isEmoji(character) {
  return /^[\p{Emoji_Presentation}\p{Regional_Indicator}]/u.test(character)
    || /^\p{Extended_Pictographic}\uFE0F/u.test(character)
    || /^[0-9#*]\uFE0F?\u20E3$/u.test(character);
}

/** What stands in a user's circle. @param {string} name */
export function initial(name) {
  return characters(name.trim())[0]?.toLocaleUpperCase() ?? '?';
}

export const TONES = 10;

/** Which of the circle's colours is this user's, always the same one. @param {string} id */
export function tone(id) {
  let hash = 0x811c9dc5;
  for (const unit of new TextEncoder().encode(id)) hash = Math.imul(hash ^ unit, 0x01000193) >>> 0;
  return hash % TONES;
}
