// The lists beside the messages: rooms with what is new in them, and the people in the room that is shown.
import { arrange, avatar, element, make, say, icon } from "./dom.js";
import { texts } from "./texts.js";

const MOST = 200; // lines of a list

export class Sidebar {
  #events;
  #rooms = new Map(); // name → its line
  #people = new Map();

  /** `events`: `me`, `show(room)`, `leave(room)` and `write(user)`. */
  constructor(events) {
    this.#events = events;
  }

  /** Make all lines anew: another language. */
  forget() {
    this.#rooms.clear();
    this.#people.clear();
  }

  /** `joined`: the rooms by name; `online`: how many are in a room, by its name, as the service last said. */
  drawRooms(joined, online, shown) {
    const others = [...online.keys()].filter((name) => !joined.has(name)); // the service tells the fullest first
    const names = [...joined.keys(), ...others.slice(0, MOST)];
    const lines = names.map((name) => this.#room(name, joined.get(name), online.get(name), name === shown));
    arrange(element("room-list"), lines);
  }

  drawPeople(people) {
    const { me } = this.#events;
    const others = [...people].filter((name) => name !== me).sort((one, two) => one.localeCompare(two, texts.code));
    arrange(element("people-list"), [me, ...others.slice(0, MOST)].map((name) => this.#person(name)));
    element("alone").hidden = others.length > 0;
    say(element("online"), texts.online(people.size));
    say(element("count"), String(people.size));
    element("to-people").ariaLabel = `${texts.people}: ${texts.online(people.size)}`;
  }

  #room(name, room, online, isShown) {
    const key = `${room ? "in" : "out"} ${name}`;
    if (!this.#rooms.has(key)) this.#rooms.set(key, this.#makeRoom(name, Boolean(room)));
    const line = this.#rooms.get(key);
    const [button] = line.children;
    if (isShown) button.ariaCurrent = "true";
    else button.removeAttribute("aria-current");
    const number = room?.people.size || online || 0;
    say(line.querySelector(".soft"), room ? texts.online(number) : `${texts.online(number)} · ${texts.notJoined}`);
    const badge = line.querySelector(".badge");
    const unread = room?.unread ?? 0;
    badge.hidden = !unread;
    say(badge.firstChild, unread > 99 ? "99+" : String(unread));
    say(badge.lastChild, ` ${texts.unread(unread)}`);
    return line;
  }

  #makeRoom(name, isJoined) {
    const badge = make(
      "span",
      { className: "badge", hidden: true },
      make("span", { ariaHidden: "true" }),
      make("span", { className: "unseen" }),
    );
    const about = make("span", { className: "soft small" });
    const label = make("span", { className: "label" }, make("b", { textContent: name }), about);
    const hash = make("span", { className: "hash", textContent: "#", ariaHidden: "true" });
    const button = make("button", { type: "button", className: "item" }, hash, label, badge);
    button.addEventListener("click", () => this.#events.show(name));
    const line = make("li", { className: isJoined ? "joined" : "" }, button);
    if (isJoined) {
      const leave = make("button", { type: "button", className: "quiet leave" }, icon("close"));
      leave.ariaLabel = texts.leaveRoom(name);
      leave.addEventListener("click", () => this.#events.leave(name));
      line.append(leave);
    }
    return line;
  }

  #person(name) {
    if (!this.#people.has(name)) this.#people.set(name, this.#makePerson(name));
    return this.#people.get(name);
  }

  #makePerson(name) {
    const label = make("span", { className: "label" }, make("b", { textContent: name }));
    if (name === this.#events.me) {
      label.append(make("span", { className: "soft small", textContent: texts.you }));
      return make("li", {}, make("span", { className: "item" }, avatar(name), label));
    }
    const button = make("button", { type: "button", className: "item" }, avatar(name), label);
    button.title = texts.writeTo(name);
    button.addEventListener("click", () => this.#events.write(name));
    return make("li", {}, button);
  }
}
