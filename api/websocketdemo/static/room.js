// A room that the visitor is in: what was said, who is there, and the connection that keeps both up to date.
//
// An entry is one line of the room: a message, a direct (private) message, a join, a leave, or a gap. Own messages
// carry a `ref` of ours in their `data`. It comes back with them, also in the history: so a message whose confirmation
// was lost with the connection is recognised and not sent twice.
import { Connection } from "./connection.js";
import { recallHere, rememberHere } from "./memory.js";
import { Outbox } from "./outbox.js";

const PAGE = 50; // messages
const MOST = 600; // entries that are kept in the page; older ones are loaded again when they are looked for
const KEPT_PRIVATE = 100; // private messages that outlive a reload: the service does not keep them
const SHORT_ABSENCE = 60_000; // milliseconds; who reloads the page has not left

const newRef = () => `${Date.now().toString(36)}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
const isUnsent = (entry) => entry.ref && !entry.id && entry.state !== "sent";

export class Room {
  entries = [];
  people = new Set();
  unread = 0;
  newFrom; // the first entry that was not seen when it came
  to = null; // whom the visitor writes to alone
  isLoading = false;
  #service;
  #events;
  #outbox;
  #lastId; // of the messages that came in order
  #firstKept = 1; // the oldest message that the service has
  #awaited = Infinity; // once this message is there, nothing is missing
  #moves; // who came and went while the list of people was on its way

  /** `events`: `changed`, `news(entry)`, `direct(frame)`, `complained(error)` and `refused(error)` are told. */
  constructor(name, service, events) {
    this.name = name;
    this.#service = service;
    this.#events = events;
    this.#outbox = new Outbox(name, (entry) => this.#hand(entry), () => this.connection.renew());
    this.entries = this.#outbox.unsent;
    this.connection = new Connection({
      address: () => this.#address(),
      changed: () => this.#connectionChanged(),
      received: (frame) => this.#receive(frame),
      refused: (error) => events.refused(error),
    });
    this.connection.connect();
  }

  get #privateKey() {
    return `private.${this.name}`;
  }

  get isLoaded() {
    return this.#lastId !== undefined;
  }

  get lastId() {
    return this.#lastId ?? 0;
  }

  get hasOlder() {
    const first = this.entries.find((entry) => entry.id);
    return Boolean(first) && first.id > Math.max(1, this.#firstKept);
  }

  say(text, to) {
    const kind = to ? "direct" : "message";
    const entry = { kind, user: this.#service.me, text, to: to ?? undefined, time: new Date(), ref: newRef() };
    this.entries.push(entry);
    this.#outbox.add(entry);
    this.#events.changed();
  }

  sayAgain(entry) {
    this.entries = [...this.entries.filter((other) => other !== entry), entry];
    this.#outbox.add(entry);
    this.#events.changed();
  }

  async loadOlder() {
    if (this.isLoading || !this.hasOlder) return;
    this.isLoading = true;
    try {
      const before = this.entries.find((entry) => entry.id).id;
      const history = await this.#service.messages(this.name, { before, limit: PAGE });
      this.#firstKept = history.items.length ? history.first_id : before;
      const start = this.entries.findIndex((entry) => entry.id);
      const head = this.entries.slice(0, start).filter((entry) => entry.kind !== "gap");
      this.entries = [...inTime(head, history.items.map(fromFrame)), ...this.entries.slice(start)];
    } catch (error) {
      this.#events.complained(error);
    } finally {
      this.isLoading = false;
      this.#events.changed();
    }
  }

  /** Forget the oldest entries of a long session. */
  trim() {
    if (this.entries.length > MOST) this.entries = this.entries.slice(-MOST / 2);
  }

  /** A private message, from whatever room it comes. */
  addDirect(frame) {
    const entry = this.#own(frame) ?? fromFrame(frame);
    if (isUnsent(entry)) this.#outbox.confirm(entry);
    entry.time = new Date(frame.time);
    this.#place(entry);
    const kept = this.entries.filter((other) => other.kind === "direct" && !isUnsent(other)).slice(-KEPT_PRIVATE);
    rememberHere(this.#privateKey, kept);
    if (frame.user !== this.#service.me) this.#events.news(entry);
  }

  /** Ask the service who is here; what happens meanwhile is newer than its answer. */
  async refreshPeople() {
    const moves = (this.#moves = new Map());
    const members = await this.#service.users(this.name).catch(() => null);
    if (moves !== this.#moves) return; // asked again meanwhile
    this.#moves = undefined;
    if (!members) return;
    this.people = new Set(members.map((member) => member.name));
    for (const [user, isHere] of moves) this.people[isHere ? "add" : "delete"](user);
    this.#events.changed();
  }

  async #address() {
    if (!this.isLoaded) {
      const history = await this.#service.messages(this.name, { limit: PAGE });
      const directs = (recallHere(this.#privateKey) ?? []).map((entry) => ({ ...entry, time: new Date(entry.time) }));
      const messages = history.items.map((frame) => this.#arrived(frame) ?? fromFrame(frame));
      this.entries = [...inTime(directs, messages), ...this.entries.filter(isUnsent)];
      this.#firstKept = history.first_id;
      this.#lastId = history.items.at(-1)?.id ?? history.last_id;
    }
    return this.#service.socketAddress(this.name, this.#lastId);
  }

  #connectionChanged() {
    if (this.connection.state !== "open") {
      this.#awaited = Infinity;
      this.#outbox.close();
    }
    this.#events.changed();
  }

  #receive(frame) {
    if (frame.type === "recovered") this.#recover(frame);
    else if (frame.type === "message") this.#hear(frame);
    else if (frame.type === "direct") this.#events.direct(frame);
    else if (frame.type === "join" || frame.type === "leave") this.#move(frame);
    else if (frame.type === "ack") this.#confirm(frame);
    else if (frame.type === "error") this.#complain(frame);
    this.#events.changed();
  }

  #recover({ recovered, last_id: lastId }) {
    if (!recovered && this.#lastId > 0) {
      // What is here does not connect to what comes; the older messages are loaded from the service when looked for.
      const others = this.entries.filter((entry) => isUnsent(entry) || entry.kind === "direct");
      this.entries = [{ kind: "gap", time: others[0]?.time ?? new Date() }, ...others];
      this.#firstKept = 1;
    }
    if (!recovered) this.#lastId = 0;
    this.#awaited = lastId;
    this.refreshPeople();
    this.#continue();
  }

  #hear(frame) {
    if (frame.id <= this.#lastId) return;
    this.#lastId = frame.id;
    const entry = this.#arrived(frame) ?? fromFrame(frame);
    this.#place(entry);
    this.#continue();
    if (frame.user !== this.#service.me) this.#events.news(entry);
  }

  /** Sending goes on once nothing is missing: what arrived before the loss is not sent again. */
  #continue() {
    if (this.#lastId >= this.#awaited) this.#outbox.open();
  }

  /** The own message that came back in `frame`, if it is one. */
  #own(frame) {
    const ref = frame.user === this.#service.me && frame.data?.ref;
    return this.entries.find((entry) => (frame.id && entry.id === frame.id) || (ref && entry.ref === ref && !entry.id));
  }

  #arrived(frame) {
    const entry = this.#own(frame);
    if (!entry) return undefined;
    Object.assign(entry, { id: frame.id, time: new Date(frame.time) });
    if (entry.ref) this.#outbox.confirm(entry);
    return entry;
  }

  #confirm({ ref, id }) {
    const entry = this.entries.find((other) => other.ref === ref);
    if (!entry) return;
    if (id && !entry.id) {
      entry.id = id;
      this.#place(entry);
    }
    this.#outbox.confirm(entry);
  }

  #complain(error) {
    const entry = error.ref && this.entries.find((other) => other.ref === error.ref);
    if (entry) this.#outbox.refuse(entry, error);
    else this.#events.complained(error);
  }

  #move({ type, user, time }) {
    const isNew = type === "join" ? !this.people.has(user) : this.people.has(user);
    this.people[type === "join" ? "add" : "delete"](user);
    this.#moves?.set(user, type === "join");
    const last = this.entries.at(-1);
    const isBack = type === "join" && last?.kind === "leave" && last.user === user;
    if (isBack && new Date(time) - last.time < SHORT_ABSENCE) this.entries.pop();
    else if (isNew) this.#place({ kind: type, user, time: new Date(time) });
  }

  #hand({ text, to, ref }) {
    this.connection.send({ message: text, ref, data: { ref }, ...(to && { send_user: to }) });
  }

  /** Put an entry where it belongs: messages by their ids, and what is not sent yet at the end. */
  #place(entry) {
    const entries = this.entries.filter((other) => other !== entry);
    let place = entries.length;
    while (place && (isUnsent(entries[place - 1]) || entries[place - 1].id > entry.id)) place -= 1;
    entries.splice(place, 0, entry);
    this.entries = entries;
  }
}

function fromFrame({ type, id, user, message, send_user: to, time, data }) {
  return { kind: type, id, user, text: message, to, time: new Date(time), ref: data?.ref, state: "sent" };
}

/** Entries without an id put among messages, which stay in the order of their ids. */
function inTime(others, messages) {
  const entries = [...messages];
  for (const other of others) {
    const next = entries.findIndex((entry) => entry.time > other.time);
    entries.splice(next < 0 ? entries.length : next, 0, other);
  }
  return entries;
}
