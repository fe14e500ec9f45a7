// A socket that comes back: after a loss it tries again, later and later, until it is refused or closed.
import { statusOf } from "./service.js";

const FIRST_WAIT = 500; // milliseconds
const LONGEST_WAIT = 30_000;
const PATIENCE = 10_000; // until a try counts as failed
const FINAL = new Set([401, 403, 409, 422]); // trying again would not help
const TOO_MANY = 429;
const PUT_OUT = 1008; // the close code behind an error frame that says why

export class Connection {
  state = "connecting"; // open, lost (trying again), closed
  #events;
  #socket;
  #timer;
  #tries = 0; // since it was open
  #wasOpen = false;
  #current; // the try that counts

  /** `events`: `address()` resolves to where to connect; `changed()`, `received(frame)`, `refused(error)` are told. */
  constructor(events) {
    this.#events = events;
  }

  async connect() {
    const current = (this.#current = Symbol("try"));
    this.#drop();
    this.#timer = setTimeout(() => this.#lose(), PATIENCE);
    try {
      const address = await this.#events.address();
      if (current === this.#current) this.#listen(new WebSocket(address));
    } catch (error) {
      if (current === this.#current) this.#lose(error);
    }
  }

  /** Try at once what would be tried later. */
  hurry() {
    if (this.state === "lost") this.connect();
  }

  /** Do not trust the socket any longer: the network has changed, or an answer does not come. */
  renew() {
    if (this.state === "closed") return;
    this.#become("lost");
    this.connect();
  }

  send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  close() {
    this.#current = undefined;
    this.#drop();
    this.#become("closed");
  }

  #listen(socket) {
    let last;
    socket.onmessage = ({ data }) => {
      last = JSON.parse(data);
      if (this.state !== "open") {
        if (last.type === "error") return; // the server closes after it
        this.#open();
      }
      this.#events.received(last);
    };
    socket.onclose = ({ code }) => this.#lose(code === PUT_OUT ? last : undefined);
    this.#socket = socket;
  }

  #open() {
    clearTimeout(this.#timer);
    this.#tries = 0;
    this.#wasOpen = true;
    this.#become("open");
  }

  #lose(error) {
    this.#current = undefined;
    this.#drop();
    const status = statusOf(error?.code);
    if (FINAL.has(status) || (status === TOO_MANY && !this.#wasOpen)) {
      this.#become("closed");
      this.#events.refused(error);
      return;
    }
    // Half of the wait is left to chance, so that not all come back at once after a restart.
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#tries++) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.connect(), wait);
    this.#become("lost");
  }

  #drop() {
    clearTimeout(this.#timer);
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = undefined;
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#events.changed();
  }
}
