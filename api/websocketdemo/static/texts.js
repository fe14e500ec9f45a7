// Every sentence of the page in its languages, and the times and days as each language writes them.
import { recall, remember } from "./memory.js";

const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

const ENGLISH = {
  code: "en",
  other: "中文",
  title: "Chat",
  lead: "Rooms, private messages and a history. Pick a name and come in.",
  name: "Your name",
  nameHint: "User1",
  room: "Room",
  haveToken: "I have an access token",
  token: "Access token",
  tokenHint: "Its name is used instead of the one above.",
  enter: "Come in",
  entering: "Coming in …",
  rooms: "Rooms",
  people: "People",
  close: "Close",
  online: (count) => `${count} online`,
  unread: (count) => plural(count, "unread message", "unread messages"),
  notJoined: "not joined",
  newRoom: "Name of a room",
  join: "Join",
  leaveRoom: (room) => `Leave the room ${room}`,
  leaveChat: "Leave the chat",
  you: "you",
  alone: "Nobody else is here yet. Open this page in a second window and come in as somebody else.",
  writeTo: (user) => `Write privately to ${user}`,
  messagesIn: (room) => `Messages in ${room}`,
  older: "Load older messages",
  beginning: "This is where the room begins.",
  missing: "You were away for long. What you missed before this is loaded with the older messages.",
  newest: (count) => (count ? `${plural(count, "new message", "new messages")} ↓` : "To the newest ↓"),
  newLine: "New",
  came: (user) => `${user} came in`,
  left: (user) => `${user} left`,
  to: (user) => `To ${user}`,
  privateFrom: "private, to you",
  privateTo: (user) => `private, to ${user}`,
  toEverybody: "to everybody",
  reply: "Reply privately",
  waiting: "sending",
  sent: "delivered",
  failed: "Not sent.",
  again: "Send again",
  write: (room) => `Write to everybody in ${room}`,
  writePrivately: (user) => `Write to ${user} alone`,
  endPrivate: "Write to everybody again",
  send: "Send",
  hint: "Enter sends · Shift + Enter makes a new line",
  remaining: (count) => `${plural(count, "character", "characters")} left`,
  tooLong: (count) => `${plural(count, "character", "characters")} too many`,
  connecting: "Connecting",
  open: "Connected",
  lost: "Not connected",
  lostLong: "The connection is lost. It is tried again by itself, and what you write is sent then.",
  tryNow: "Try now",
  badName: "A name has 1 to 32 letters (of any script), digits, “_”, “-” or “.”.",
  badRoom: "The name of a room has 1 to 32 letters (of any script), digits, “_”, “-” or “.”.",
  sessionOver: "Your session is over: its access token is no longer valid. With a new one you go on where you were.",
  unreachable: "The service cannot be reached just now.",
  language: "中文：切换到中文",
  errors: {},
};

const CHINESE = {
  code: "zh-Hans",
  other: "English",
  title: "聊天",
  lead: "聊天室、私聊和历史记录。起个名字就可以进来。",
  name: "你的名字",
  nameHint: "User1",
  room: "房间",
  haveToken: "我有访问令牌",
  token: "访问令牌",
  tokenHint: "将使用令牌里的名字，而不是上面填写的名字。",
  enter: "进入聊天",
  entering: "正在进入……",
  rooms: "房间",
  people: "在线的人",
  close: "关闭",
  online: (count) => `${count} 人在线`,
  unread: (count) => `${count} 条未读消息`,
  notJoined: "未加入",
  newRoom: "房间名称",
  join: "加入",
  leaveRoom: (room) => `离开房间 ${room}`,
  leaveChat: "退出聊天",
  you: "你",
  alone: "这里还没有其他人。再开一个窗口，用另一个名字进来试试。",
  writeTo: (user) => `给 ${user} 发私信`,
  messagesIn: (room) => `${room} 的消息`,
  older: "加载更早的消息",
  beginning: "房间从这里开始。",
  missing: "你离开得太久了，这之前错过的消息会和更早的消息一起加载。",
  newest: (count) => (count ? `${count} 条新消息 ↓` : "回到最新 ↓"),
  newLine: "新消息",
  came: (user) => `${user} 进入聊天`,
  left: (user) => `${user} 离开`,
  to: (user) => `发给 ${user}`,
  privateFrom: "只发给你",
  privateTo: (user) => `只发给 ${user}`,
  toEverybody: "发给所有人",
  reply: "私信回复",
  waiting: "发送中",
  sent: "已送达",
  failed: "没有发出。",
  again: "重新发送",
  write: (room) => `在 ${room} 里对大家说`,
  writePrivately: (user) => `只对 ${user} 说`,
  endPrivate: "恢复对大家说",
  send: "发送",
  hint: "Enter 发送 · Shift + Enter 换行",
  remaining: (count) => `还可以输入 ${count} 个字`,
  tooLong: (count) => `超出 ${count} 个字`,
  connecting: "正在连接",
  open: "已连接",
  lost: "连接已断开",
  lostLong: "连接断开了，正在自动重连；你写的消息会在连上之后发出。",
  tryNow: "立即重试",
  badName: "名字由 1 到 32 个文字、数字、“_”、“-”或“.”组成。",
  badRoom: "房间名称由 1 到 32 个文字、数字、“_”、“-”或“.”组成。",
  sessionOver: "会话结束了：访问令牌已失效。换一个新的令牌就可以接着聊。",
  unreachable: "暂时连不上服务。",
  language: "English: switch to English",
  // The server's sentences are English; these are the ones a visitor can meet.
  errors: {
    401: "访问令牌无效或已过期。",
    40111: "这里不允许访客进入：请使用访问令牌。",
    40311: "不允许从其他网站的页面连接。",
    40411: "对方不在线，私信没有送达。",
    40911: "这个名字已经有人使用，请换一个。",
    41311: "消息太大了。",
    42211: "服务器看不懂这条消息。",
    42212: "名字由 1 到 32 个文字、数字、“_”、“-”或“.”组成。",
    42911: "发送得太快了。",
    42912: "你打开的连接太多，请先关闭一个。",
    42913: "来自你所在网络地址的连接太多。",
    42914: "你加入的房间太多，请先离开一个。",
    50311: "消息暂时无法保存，请稍后再发。",
  },
};

const LANGUAGES = { en: ENGLISH, zh: CHINESE };
const preferred = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";

export let texts = LANGUAGES[recall("language")] ?? LANGUAGES[preferred];

export function switchLanguage() {
  const language = texts === ENGLISH ? "zh" : "en";
  texts = LANGUAGES[language];
  remember("language", language);
}

export const sentence = (error) => texts.errors[error.code] ?? error.message;

/** Fill in what stands in the page: `data-text` the text, `data-label` the label, `data-hint` the placeholder. */
export function fillIn(root) {
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = texts[node.dataset.text];
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", texts[node.dataset.label]);
  for (const node of root.querySelectorAll("[data-hint]")) node.placeholder = texts[node.dataset.hint];
}

const format = (time, options) => new Intl.DateTimeFormat(texts.code, options).format(time);

export const clock = (time) => format(time, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
export const moment = (time) => format(time, { dateStyle: "full", timeStyle: "medium" });

export function day(time) {
  const midnight = (moment) => new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
  const ago = Math.round((midnight(new Date()) - midnight(time)) / 86_400_000);
  if (ago === 0 || ago === 1) return new Intl.RelativeTimeFormat(texts.code, { numeric: "auto" }).format(-ago, "day");
  return format(time, { dateStyle: "full" });
}
