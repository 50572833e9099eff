/** What there is. How long it takes the kitchen is written in `main.rs`. */
export const MENU = [
  { item: 'coffee', sign: '☕\uFE0F', seconds: 3 },
  { item: 'bread', sign: '🍞', seconds: 1 },
  { item: 'smoothie', sign: '🥤', seconds: 2 },
];

/** A name that is not on the menu may come from another client. @param {string} item */
export function signOf(item) {
  return MENU.find((one) => one.item === item)?.sign ?? '🍽️';
}

/** @param {string} item @param {(key: any) => string} t */
export function nameOf(item, t) {
  return MENU.some((one) => one.item === item) ? t(item) : item;
}
