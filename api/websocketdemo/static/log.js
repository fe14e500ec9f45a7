// The messages of the room that is shown, as a log that screen readers announce and that stays where the reader is.
import { arrange, avatar, icon, make, say } from "./dom.js";
import { clock, day, moment, sentence, texts } from "./texts.js";

const NEAR = 80; // pixels from an end that count as being there
const MUCH = 10; // new lines at once that nobody wants to hear read out
const SAME_BREATH = 5 * 60_000; // milliseconds within which messages of one author stand together

export class Log {
  #element;
  #events;
  #room;
  #nodes = new WeakMap(); // entry → its element
  #lines = new Map(); // the lines between entries, by what they say
  #places = new WeakMap(); // room → where its reader was, unless at the end
  #first = 0; // the id of the oldest message that is drawn
  #height = 0;
  #scrollTop = 0;

  /** `events`: `me`, `again(entry)`, `reply(user)` and `moved(isAtEnd)`. */
  constructor(element, events) {
    this.#element = element;
    this.#events = events;
    element.addEventListener("scroll", () => this.#scrolled());
    new ResizeObserver(() => this.#resized()).observe(element);
  }

  get isAtEnd() {
    return !this.#places.has(this.#room);
  }

  /** Make all elements anew: another language. */
  forget() {
    this.#nodes = new WeakMap();
    this.#lines.clear();
    this.#room = undefined;
  }

  draw(room) {
    const log = this.#element;
    const isOther = room !== this.#room;
    if (!isOther) this.#notePlace(); // a scroll may have begun of which no event has told yet
    const before = log.scrollHeight - log.scrollTop;
    this.#room = room;
    if (this.isAtEnd) room.trim();
    const first = room.entries.find((entry) => entry.id);
    const isOlder = !isOther && this.#first > first?.id;
    this.#first = first?.id ?? 0;
    const wanted = this.#wanted(room);
    log.ariaBusy = String(isOther || wanted.length - log.childElementCount > MUCH);
    arrange(log, wanted);
    if (this.isAtEnd) this.toEnd();
    else if (isOther) log.scrollTop = this.#places.get(room);
    else if (isOlder) log.scrollTop = log.scrollHeight - before;
    this.#scrollTop = log.scrollTop;
    if (log.ariaBusy === "true") setTimeout(() => (log.ariaBusy = "false"));
  }

  toEnd() {
    this.#places.delete(this.#room);
    if (this.#toGo > 1) this.#element.scrollTop = this.#element.scrollHeight; // else a scroll that begins would stop
  }

  /** Pixels from here to the end. */
  get #toGo() {
    const { scrollTop, scrollHeight, clientHeight } = this.#element;
    return scrollHeight - scrollTop - clientHeight;
  }

  #scrolled() {
    this.#notePlace();
    if (this.#element.scrollTop < NEAR && !this.isAtEnd) this.#room.loadOlder();
    this.#events.moved(this.isAtEnd);
  }

  #notePlace() {
    const { scrollTop, clientHeight } = this.#element;
    if (clientHeight !== this.#height || scrollTop === this.#scrollTop) return; // resized, or not the reader's doing
    const isUpwards = scrollTop < this.#scrollTop;
    this.#scrollTop = scrollTop;
    if (this.#toGo <= 1 || (this.#toGo < NEAR && !isUpwards)) this.#places.delete(this.#room);
    else this.#places.set(this.#room, scrollTop);
  }

  #resized() {
    this.#height = this.#element.clientHeight;
    if (this.#room && this.isAtEnd) this.toEnd();
  }

  #wanted(room) {
    const nodes = room.isLoaded ? [this.#top(room)] : [];
    let previous;
    for (const entry of room.entries) {
      const date = entry.time.toDateString();
      const isOtherDay = date !== previous?.time.toDateString();
      if (isOtherDay) nodes.push(this.#line(`${date} ${day(entry.time)}`, "day", day(entry.time)));
      if (entry === room.newFrom) nodes.push(this.#line("new", "new", texts.newLine));
      nodes.push(this.#entry(entry, !isOtherDay && entry !== room.newFrom && stand(previous, entry)));
      previous = entry;
    }
    return nodes;
  }

  #top(room) {
    if (!room.hasOlder) return this.#line("beginning", "beginning", texts.beginning);
    if (!this.#lines.has("older")) {
      const button = make("button", { type: "button", textContent: texts.older });
      button.addEventListener("click", () => this.#room.loadOlder());
      this.#lines.set("older", make("p", { className: "older" }, button));
    }
    return this.#lines.get("older");
  }

  #line(key, className, text) {
    if (!this.#lines.has(key)) this.#lines.set(key, make("p", { className }, make("span", { textContent: text })));
    return this.#lines.get(key);
  }

  #entry(entry, isContinued) {
    if (!this.#nodes.has(entry)) this.#nodes.set(entry, this.#make(entry));
    const node = this.#nodes.get(entry);
    node.classList.toggle("continued", isContinued);
    if (!isSaid(entry)) return node;
    node.dataset.state = entry.state;
    node.dataset.id = entry.id ?? "";
    const time = node.querySelector("time");
    Object.assign(time, { dateTime: entry.time.toISOString(), title: moment(entry.time) });
    say(time, clock(entry.time));
    const state = node.querySelector(".state");
    if (state) this.#drawState(state, entry);
    return node;
  }

  #make(entry) {
    if (entry.kind === "gap") return make("p", { className: "notice gap", textContent: texts.missing });
    if (!isSaid(entry)) {
      const text = entry.kind === "join" ? texts.came(entry.user) : texts.left(entry.user);
      return make("p", { className: "notice", textContent: `${text} · ${clock(entry.time)}` });
    }
    const isOwn = entry.user === this.#events.me;
    const head = make("p", { className: "head" }, make("b", { textContent: entry.user }), " ");
    if (entry.to === "*") head.append(texts.toEverybody);
    else if (entry.kind === "direct") {
      head.append(make("span", { className: "lock" }, icon("lock"), whom(entry, isOwn)));
    }
    const foot = make("p", { className: "foot" }, make("time"));
    if (isOwn) foot.append(make("span", { className: "state", ariaLive: "off" }));
    const text = make("p", { className: "text", dir: "auto", textContent: entry.text });
    const bubble = make("div", { className: "bubble" }, head, make("div", { className: "body" }, text, foot));
    if (entry.kind === "direct" && !isOwn && entry.to !== "*") bubble.append(this.#replyButton(entry.user));
    const node = make("article", { className: `message ${entry.kind}${isOwn ? " own" : ""}` }, bubble);
    if (!isOwn) node.prepend(avatar(entry.user));
    return node;
  }

  #replyButton(user) {
    const button = make("button", { type: "button", className: "reply", textContent: texts.reply });
    button.addEventListener("click", () => this.#events.reply(user));
    return button;
  }

  #drawState(state, entry) {
    if (state.dataset.state === entry.state) return;
    state.dataset.state = entry.state;
    if (entry.state !== "failed") {
      const name = entry.state === "sent" ? "tick" : "wait";
      state.replaceChildren(icon(name), make("span", { className: "unseen", textContent: texts[entry.state] }));
      return;
    }
    const again = make("button", { type: "button", textContent: texts.again });
    again.addEventListener("click", () => this.#events.again(entry));
    const why = entry.error ? sentence(entry.error) : "";
    state.replaceChildren(make("span", { role: "alert", textContent: `${texts.failed} ${why}` }), " ", again);
  }
}

const isSaid = ({ kind }) => kind === "message" || kind === "direct";

const whom = (entry, isOwn) => (isOwn ? texts.privateTo(entry.to) : texts.privateFrom);

/** Whether an entry belongs to what its author said just before. */
function stand(previous, entry) {
  return (
    previous !== undefined &&
    isSaid(entry) &&
    ["kind", "user", "to"].every((key) => previous[key] === entry[key]) &&
    entry.time - previous.time < SAME_BREATH
  );
}
