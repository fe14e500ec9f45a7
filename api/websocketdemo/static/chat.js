// The chat page: coming in, the rooms that the visitor is in, and what is shown of them.
import { Composer } from "./composer.js";
import { arrange, avatar, element, make, say } from "./dom.js";
import { BAD_TOKEN, Entrance, SESSION_OVER, isName } from "./entrance.js";
import { Log } from "./log.js";
import { forgetHere, recallHere, remember, rememberHere } from "./memory.js";
import { Room } from "./room.js";
import { Service } from "./service.js";
import { Sidebar } from "./sidebar.js";
import { fillIn, sentence, switchLanguage, texts } from "./texts.js";

const LISTEN_AGAIN = 15_000; // milliseconds between two looks at the list of rooms
const REDRAW = 10; // milliseconds in which news is drawn together

const { root, service: serviceName } = document.body.dataset;
const rooms = new Map(); // those that the visitor is in, by name
let service; // undefined while nobody is in
let shown; // the room that is shown
let listing = []; // all rooms, as the service last said
let told = new Set(); // the private messages that came: each comes on every socket
let problem; // what went wrong last, until it is closed
let drawing; // a timer

const log = new Log(element("log"), {
  get me() {
    return service.me;
  },
  again: (entry) => shown.sayAgain(entry),
  reply: (user) => composer.writeTo(user),
  moved: () => (look(), draw()),
});
const sidebar = new Sidebar({
  get me() {
    return service.me;
  },
  show: (name) => (location.hash = encodeURIComponent(name)),
  leave,
  write(user) {
    element("people").hidePopover();
    composer.writeTo(user);
  },
});
const composer = new Composer(() => log.toEnd());
const entrance = new Entrance(enter);

// -- coming and going ----------------------------------------------------------------------------------------------

function roomInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function enter(name, token, room) {
  goOut();
  begin(name, token, [...new Set([...(recallHere("rooms") ?? []), room])], room);
}

/** Be `name` in these rooms; the chat is shown as soon as there is a connection. */
function begin(name, token, names, first) {
  service = new Service(root, name, token);
  told = new Set();
  for (const room of names) join(room);
  shown = rooms.get(first);
  remember("room", first);
  history.replaceState(null, "", `#${encodeURIComponent(first)}`);
  refreshListing();
}

function goOut() {
  for (const room of rooms.values()) room.connection.close();
  rooms.clear();
  service = shown = problem = undefined;
}

function join(name) {
  const room = new Room(name, service, {
    changed: () => changed(room),
    news: (entry) => hear(room, entry),
    direct: (frame) => hearDirect(room, frame),
    complained: complain,
    refused: (error) => refused(room, error),
  });
  rooms.set(name, room);
  return room;
}

function changed(room) {
  if (rooms.get(room.name) !== room) return;
  if (entrance.isShown) {
    if (room.connection.state === "open") showChat();
    else if (room.connection.state === "lost") entrance.complain({ message: texts.unreachable });
  }
  draw();
}

function showChat() {
  entrance.hide();
  arrange(element("me"), [avatar(service.me), make("b", { textContent: service.me })]);
  rememberRooms();
  composer.show(shown);
  if (matchMedia("(pointer: fine)").matches) composer.focus();
  drawNow();
}

/** Not let in, or put out: out of one room, or of the chat when it was the only one. */
function refused(room, error) {
  if (rooms.get(room.name) !== room) return;
  if (error.code === BAD_TOKEN) {
    endSession(error);
  } else if (rooms.size > 1 && !entrance.isShown) {
    leave(room.name);
    complain(error);
  } else {
    goOut();
    rememberHere("rooms", undefined);
    entrance.show(room.name, error);
  }
}

/** The token is not valid (any more): with a new one the visitor goes on in the same rooms, with what is not sent yet. */
function endSession(error) {
  const room = shown.name;
  goOut();
  entrance.show(room, entrance.isShown ? error : { code: SESSION_OVER, message: texts.sessionOver });
}

function leave(name) {
  rooms.get(name).connection.close();
  rooms.delete(name);
  rememberRooms();
  if (!rooms.size) leaveChat();
  else if (shown.name === name) location.hash = encodeURIComponent(rooms.keys().next().value);
  else draw();
}

function leaveChat() {
  goOut();
  forgetHere();
  entrance.show(roomInAddress());
}

function rememberRooms() {
  rememberHere("rooms", [...rooms.keys()]);
}

/** Show the room that the address names, and come into it if need be. */
function followAddress() {
  const name = roomInAddress();
  if (!service || !name || name === shown.name) return;
  if (!isName(name)) {
    history.replaceState(null, "", `#${encodeURIComponent(shown.name)}`);
    complain({ message: texts.badRoom });
    return;
  }
  element("rooms").hidePopover();
  shown.newFrom = undefined;
  shown = rooms.get(name) ?? join(name);
  remember("room", name);
  rememberRooms();
  look();
  composer.show(shown);
  composer.focus();
  drawNow();
}

// -- what is said --------------------------------------------------------------------------------------------------

const isLookedAt = (room) => room === shown && !document.hidden && log.isAtEnd;

function hear(room, entry) {
  if (isLookedAt(room)) return;
  if (!room.unread) room.newFrom = entry;
  room.unread += 1;
}

function hearDirect(room, frame) {
  const key = `${frame.user} ${frame.data?.ref ?? frame.time}`;
  if (told.has(key)) return;
  told.add(key);
  (rooms.get(frame.room) ?? room).addDirect(frame);
}

function look() {
  if (shown && isLookedAt(shown)) shown.unread = 0;
}

function complain(error) {
  const isSentence = error.code || !(error instanceof Error); // what a browser throws is none
  problem = isSentence ? error : { message: texts.unreachable };
  draw();
}

async function refreshListing() {
  const before = listing;
  const now = await service?.rooms().catch(() => undefined);
  if (!now || !service) return;
  listing = now;
  for (const { name, last_id: lastId } of before) {
    const room = rooms.get(name);
    // Known for a whole interval, and still not here: the socket is dead and nobody has said so.
    if (room?.connection.state === "open" && room.lastId < lastId) room.connection.renew();
  }
  draw();
}

// -- what is seen --------------------------------------------------------------------------------------------------

function draw() {
  drawing ??= setTimeout(drawNow, REDRAW);
}

function drawNow() {
  clearTimeout(drawing);
  drawing = undefined;
  if (!shown || element("chat").hidden) return;
  const { state } = shown.connection;
  say(element("room-name"), shown.name);
  say(element("state"), texts[state] ?? "");
  element("state").dataset.state = state;
  element("lost").hidden = state !== "lost";
  element("log").ariaLabel = texts.messagesIn(shown.name);
  log.draw(shown);
  look();
  sidebar.drawRooms(rooms, new Map(listing.map(({ name, online }) => [name, online])), shown.name);
  sidebar.drawPeople(shown.people);
  element("newest").hidden = log.isAtEnd;
  say(element("newest"), texts.newest(shown.unread));
  element("problem").hidden = !problem;
  say(element("problem").firstElementChild, problem ? sentence(problem) : "");
  drawUnread();
}

function drawUnread() {
  const all = [...rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  const elsewhere = all - shown.unread;
  element("elsewhere").hidden = !elsewhere;
  say(element("elsewhere"), String(elsewhere));
  element("to-rooms").ariaLabel = elsewhere ? `${texts.rooms}: ${texts.unread(elsewhere)}` : texts.rooms;
  document.title = `${all ? `(${all}) ` : ""}${shown.name} · ${serviceName}`;
}

function speak() {
  document.documentElement.lang = texts.code;
  fillIn(document);
  for (const button of document.querySelectorAll(".language")) {
    Object.assign(button, { textContent: texts.other, ariaLabel: texts.language });
  }
  document.title = `${texts.title} · ${serviceName}`;
  log.forget();
  sidebar.forget();
  if (shown) composer.show(shown);
  drawNow();
}

// -- what the visitor and the browser do ---------------------------------------------------------------------------

function listen() {
  element("leave").addEventListener("click", leaveChat);
  element("try").addEventListener("click", () => rooms.forEach((room) => room.connection.hurry()));
  element("newest").addEventListener("click", () => (log.toEnd(), composer.focus()));
  element("problem").lastElementChild.addEventListener("click", () => ((problem = undefined), drawNow()));
  element("join").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = element("new-room").value.trim();
    if (!name) return;
    location.hash = encodeURIComponent(name);
    element("join").reset();
  });
  for (const button of document.querySelectorAll(".language")) {
    button.addEventListener("click", () => (switchLanguage(), speak()));
  }
  addEventListener("hashchange", followAddress);
  // The network is another one, or back: the service may still be reachable, if it runs on this machine.
  for (const event of ["online", "offline"]) {
    addEventListener(event, () => rooms.forEach((room) => room.connection.renew()));
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    rooms.forEach((room) => room.connection.hurry());
    look();
    draw();
    refreshListing();
  });
  setInterval(() => document.hidden || refreshListing(), LISTEN_AGAIN);
}

listen();
speak();
const before = recallHere("rooms"); // this window was reloaded
if (before?.length) {
  const first = isName(roomInAddress()) ? roomInAddress() : before[0];
  begin(recallHere("name"), recallHere("token"), [...new Set([...before, first])], first);
  showChat();
} else {
  entrance.show(roomInAddress());
}
