// Where the visitor writes: to everybody or to one person alone; each room keeps its own draft.
import { element, say } from "./dom.js";
import { recallHere, rememberHere } from "./memory.js";
import { texts } from "./texts.js";

const MOST = 4_000; // characters, as the service counts them
const SOON = 400; // characters before the end from which on the rest is counted

export class Composer {
  #room;
  #text = element("text");

  /** `said()` is called after something was said. */
  constructor(said) {
    const form = element("composer");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#say()) said();
    });
    this.#text.addEventListener("keydown", (event) => {
      // While an input method composes a word, Enter belongs to it (229: as Safari says so).
      const isComposing = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    this.#text.addEventListener("input", () => {
      rememberHere(`draft.${this.#room.name}`, this.#text.value || undefined);
      this.#count();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) this.writeTo(null);
    });
    element("end-private").addEventListener("click", () => this.writeTo(null));
  }

  show(room) {
    if (room !== this.#room) this.#text.value = recallHere(`draft.${room.name}`) ?? "";
    this.#room = room;
    this.#draw();
  }

  /** To whom alone it goes, or null for everybody in the room. */
  writeTo(user) {
    this.#room.to = user;
    this.#draw();
    this.focus();
  }

  focus() {
    this.#text.focus();
  }

  #say() {
    const text = this.#text.value;
    if (!text.trim() || this.#left() < 0) return false;
    this.#room.say(text, this.#room.to);
    this.#text.value = "";
    rememberHere(`draft.${this.#room.name}`, undefined);
    this.#count();
    return true;
  }

  #draw() {
    const { name, to } = this.#room;
    const label = to ? texts.writePrivately(to) : texts.write(name);
    Object.assign(this.#text, { placeholder: label, ariaLabel: label });
    element("private").hidden = !to;
    say(element("private-to"), to ? texts.to(to) : "");
    this.#count();
  }

  #left() {
    return MOST - [...this.#text.value].length;
  }

  #count() {
    const left = this.#left();
    say(element("left"), left < 0 ? texts.tooLong(-left) : left < SOON ? texts.remaining(left) : "");
    element("left").classList.toggle("problem", left < 0);
    element("send").disabled = left < 0;
  }
}
