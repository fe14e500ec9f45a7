// Coming in: who one is, and where to. What was filled in is remembered.
import { element, say } from "./dom.js";
import { forgetHere, recall, recallHere, remember, rememberHere } from "./memory.js";
import { nameInToken } from "./service.js";
import { sentence, texts } from "./texts.js";

const FIRST_ROOM = "lobby";
export const BAD_TOKEN = 401; // not valid, or not any more
export const SESSION_OVER = "session over"; // for this reason the visitor is back here
const TOKEN_WANTED = [BAD_TOKEN, 40111, SESSION_OVER];

export const isName = (text) => /^[\p{L}\p{N}_.-]{1,32}$/u.test(text);

export class Entrance {
  #enter;

  /** `enter(name, token, room)` is called when somebody wants to come in. */
  constructor(enter) {
    this.#enter = enter;
    element("enter").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  get isShown() {
    return !element("entrance").hidden;
  }

  show(room, error) {
    element("chat").hidden = true;
    element("entrance").hidden = false;
    element("name").value = recallHere("name") ?? recall("name") ?? "";
    element("room").value = room || recall("room") || FIRST_ROOM;
    element("token").value = recallHere("token") ?? "";
    element("with-token").open ||= Boolean(element("token").value) || TOKEN_WANTED.includes(error?.code);
    this.complain(error);
    document.title = `${texts.title} · ${document.body.dataset.service}`;
    this.#focus(error);
  }

  hide() {
    element("entrance").hidden = true;
    element("chat").hidden = false;
  }

  /** Say why it is not possible, or take that back. */
  complain(error) {
    say(element("refusal"), error ? sentence(error) : "");
    element("refusal").hidden = !error;
    say(element("go"), texts.enter);
  }

  #focus(error) {
    if (TOKEN_WANTED.includes(error?.code)) {
      element("token").focus();
      element("token").select(); // the next one takes its place
    } else element(error || !element("name").value ? "name" : "go").focus();
  }

  #submit() {
    const token = element("token").value.trim() || undefined;
    const name = (token && nameInToken(token)) || element("name").value.trim();
    const room = element("room").value.trim();
    for (const [field, value, message] of [["name", name, texts.badName], ["room", room, texts.badRoom]]) {
      if (isName(value)) continue;
      this.complain({ message });
      element(field).focus();
      return;
    }
    this.complain();
    say(element("go"), texts.entering);
    if (name !== recallHere("name")) forgetHere(); // what another one wrote is not theirs
    for (const keep of [remember, rememberHere]) keep("name", name);
    rememberHere("token", token);
    this.#enter(name, token, room);
  }
}
