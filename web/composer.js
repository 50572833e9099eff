/**
 * The box one writes in: it grows with the text, keeps the draft, and sends on Enter,
 * but never half a syllable that an input method is still composing.
 */

/** On a touch screen Enter breaks the line, as everywhere there, and the button sends. */
const touch = matchMedia('(hover: none) and (pointer: coarse)');

export class Composer {
  #box;
  #onSend;
  #onDraft;
  /** An Enter that closed a composition, seen only after `compositionend` (Safari). */
  #lateEnter = false;

  /**
   * @param {{ form: HTMLFormElement, box: HTMLTextAreaElement }} elements
   * @param {{ send(text: string): void, draft(text: string): void }} on
   */
  constructor({ form, box }, on) {
    this.#box = box;
    this.#onSend = on.send;
    this.#onDraft = on.draft;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    box.addEventListener('keydown', (event) => this.#keydown(event));
    box.addEventListener('beforeinput', (event) => this.#beforeInput(event));
    box.addEventListener('keyup', () => {
      this.#lateEnter = false;
    });
    addEventListener('resize', () => this.#grow());
    box.addEventListener('input', () => {
      this.#grow();
      this.#onDraft(box.value);
    });
  }

  /** @param {string} draft */
  start(draft) {
    this.#box.value = draft;
    this.#grow();
    // On a phone the keyboard would cover what one has not read yet.
    if (!touch.matches) this.#box.focus();
  }

  /** @param {KeyboardEvent} event */
  #keydown(event) {
    // 229 is what a browser says while an input method has the key.
    const composing = event.isComposing || event.keyCode === 229;
    this.#lateEnter = event.key === 'Enter' && composing && !event.isComposing && !event.shiftKey;
    if (event.key !== 'Enter' || event.shiftKey || composing || touch.matches) return;
    event.preventDefault();
    this.#send();
  }

  /**
   * In Safari the composition ends before the keydown of the Enter that ended it. If the
   * input method kept the Enter for itself, nothing follows; if it passed it on, a line
   * break is about to be inserted, and then it was meant to send.
   * @param {InputEvent} event
   */
  #beforeInput(event) {
    const breaksLine = event.inputType === 'insertLineBreak' || event.inputType === 'insertParagraph';
    if (!this.#lateEnter || !breaksLine || event.isComposing || touch.matches) return;
    event.preventDefault();
    this.#send();
  }

  #send() {
    const text = this.#box.value.trim();
    if (text !== '') {
      this.#box.value = '';
      this.#grow();
      this.#onDraft('');
      this.#onSend(text);
    }
    this.#box.focus();
  }

  #grow() {
    this.#box.style.height = 'auto';
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }
}
