/**
 * Making elements. Everything a person wrote goes through `textContent` or a text
 * node; this page has no other way to put text into the document.
 */
import { pieces, initial, tone } from './text.js';

/**
 * @param {string} tag
 * @param {Record<string, string|boolean|undefined|((event: any) => void)>} attributes functions listen to the event they are named after
 * @param {(Node|string|null|undefined)[]} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (typeof value === 'string') node.setAttribute(name, value);
    else if (value) node.setAttribute(name, '');
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (node);
}

/** Put the page's words where the document asks for them. @param {ParentNode} root @param {import('./i18n.js').Translate} t */
export function fillWords(root, t) {
  const put = (/** @type {string} */ name, /** @type {(node: Element, text: string) => void} */ set) => {
    for (const node of root.querySelectorAll(`[${name}]`)) {
      set(node, t(/** @type {import('./i18n.js').Key} */ (node.getAttribute(name))));
    }
  };
  put('data-t', (node, text) => node.append(text));
  put('data-t-label', (node, text) => node.setAttribute('aria-label', text));
  put('data-t-title', (node, text) => node.setAttribute('title', text));
  put('data-t-placeholder', (node, text) => node.setAttribute('placeholder', text));
}

/** A text with its links. @param {string} text @returns {Node[]} */
export function linked(text) {
  return pieces(text).map((piece) => {
    if (piece.href === null) return document.createTextNode(piece.text);
    return element('a', { href: piece.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, piece.text);
  });
}

/** Dress an element as a user's circle. @param {HTMLElement} node @param {{ id: string, name: string }} user */
export function dressAvatar(node, { id, name }) {
  node.className = `avatar tone-${tone(id)}`;
  node.textContent = initial(name);
  return node;
}

/** @param {{ id: string, name: string }} user */
export function avatar(user) {
  return dressAvatar(element('span', { 'aria-hidden': 'true' }), user);
}
