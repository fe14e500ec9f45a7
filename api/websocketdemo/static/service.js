// The service as the chat needs it: the answers of its REST interface, and the address of a room's socket.
const PATIENCE = 10_000; // milliseconds until a request counts as lost

/** What the service answered instead of what was asked for; the codes are those of its error frames. */
export class Refusal extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

/** The HTTP status that an error code belongs to: 40911 → 409. */
export const statusOf = (code) => (code > 999 ? Math.floor(code / 100) : code);

export class Service {
  constructor(root, me, token) {
    this.me = me;
    this.token = token;
    this.base = new URL(`${root}/websocketdemo/`, location.href);
  }

  /** The data of an answer; rejects with a Refusal, or with another error when there is no answer. */
  async read(path, query = {}) {
    const url = new URL(path, this.base);
    url.search = new URLSearchParams(query);
    const headers = { Accept: "application/json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const answer = await fetch(url, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    const envelope = await answer.json();
    if (!answer.ok) throw new Refusal(envelope);
    return envelope.data;
  }

  rooms() {
    return this.read("rooms");
  }

  users(room) {
    return this.read(`rooms/${encodeURIComponent(room)}/users`);
  }

  messages(room, query) {
    return this.read(`rooms/${encodeURIComponent(room)}/messages`, query);
  }

  socketAddress(room, since) {
    const url = new URL(`ws/${encodeURIComponent(room)}/${encodeURIComponent(this.me)}`, this.base);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("since", since);
    if (this.token) url.searchParams.set("token", this.token);
    return url;
  }
}

/** Who an access token speaks for; undefined when that cannot be read, and then the service will refuse it. */
export function nameInToken(token) {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(claims), (character) => character.codePointAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)).sub;
  } catch {
    return undefined;
  }
}
