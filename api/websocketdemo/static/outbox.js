// What the visitor wrote and the service has not confirmed: one at a time, in order, kept over a reload.
import { recallHere, rememberHere } from "./memory.js";
import { statusOf } from "./service.js";

const PATIENCE = 10_000; // milliseconds until a missing confirmation means that the connection is dead
const PAUSE = 1_500; // before a message is sent again that came too fast
const PASSING = new Set([429, 503]); // failures that pass

export class Outbox {
  #key;
  #send;
  #renew;
  #queue = [];
  #failed = [];
  #sent; // the one that waits for its confirmation
  #timer;
  #isOpen = false;

  /** `send(entry)` hands a message over; `renew()` is asked for when nothing comes back. */
  constructor(room, send, renew) {
    this.#key = `unsent.${room}`;
    this.#send = send;
    this.#renew = renew;
    const kept = (recallHere(this.#key) ?? []).map((entry) => ({ ...entry, time: new Date(entry.time) }));
    for (const entry of kept) (entry.state === "failed" ? this.#failed : this.#queue).push(entry);
  }

  /** What was refused, and what waits: after a reload those of before. */
  get unsent() {
    return [...this.#failed, ...this.#queue];
  }

  add(entry) {
    entry.state = "waiting";
    this.#forget(entry);
    this.#queue.push(entry);
    this.#save();
    this.#next();
  }

  /** The service has it. */
  confirm(entry) {
    entry.state = "sent";
    this.#forget(entry);
    this.#save();
    this.#next();
  }

  /** The service refused it, maybe only for now. */
  refuse(entry, error) {
    if (PASSING.has(statusOf(error.code))) {
      this.#wait(() => this.#resume(), PAUSE);
      return;
    }
    Object.assign(entry, { state: "failed", error: { code: error.code, message: error.message } });
    this.#forget(entry);
    this.#failed.push(entry);
    this.#save();
    this.#next();
  }

  open() {
    this.#isOpen = true;
    this.#next();
  }

  /** Not connected, or not yet sure what arrived before the connection was lost. */
  close() {
    this.#isOpen = false;
    this.#sent = undefined;
    clearTimeout(this.#timer);
  }

  #next() {
    if (!this.#isOpen || this.#sent || !this.#queue.length) return;
    this.#sent = this.#queue[0];
    this.#wait(this.#renew, PATIENCE);
    this.#send(this.#sent);
  }

  #resume() {
    this.#sent = undefined;
    this.#next();
  }

  #forget(entry) {
    this.#queue = this.#queue.filter((other) => other !== entry);
    this.#failed = this.#failed.filter((other) => other !== entry);
    if (this.#sent !== entry) return;
    this.#sent = undefined;
    clearTimeout(this.#timer);
  }

  #wait(act, milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, milliseconds);
  }

  #save() {
    rememberHere(this.#key, this.unsent.length ? this.unsent : undefined);
  }
}
