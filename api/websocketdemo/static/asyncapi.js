// Reads the AsyncAPI document and shows it to people. All text goes in as text, nothing is read as HTML.
import { element, make } from "./dom.js";

const TOKENS = /("(?:\\.|[^"\\])*")(\s*:)?|-?\d[\d.eE+-]*|true|false|null/g;
const SHOWN_EXAMPLES = 3; // a message with more has them in a table of its own

let spec;

/** What a reference leads to, however many lie between. */
function follow(node) {
  while (node.$ref) {
    const keys = node.$ref.slice(2).split("/");
    node = keys.reduce((at, key) => at[key.replaceAll("~1", "/").replaceAll("~0", "~")], spec);
  }
  return node;
}

/** Text in which `code` stands between backticks. */
function rich(text) {
  return text.split("`").map((part, place) => (place % 2 ? make("code", { textContent: part }) : part));
}

function paragraphs(text = "") {
  return text.split("\n\n").map((paragraph) => make("p", {}, ...rich(paragraph)));
}

function heading(level, id, text) {
  return make(level, { id, tabIndex: -1, textContent: text });
}

/** A table whose rows a phone shows as blocks; the roles keep it a table for screen readers. */
function table(kind, label, columns, rows) {
  const line = (cells, tag, role) =>
    make("tr", { role: "row" }, ...cells.map((cell) => make(tag, { role }, ...[cell].flat())));
  const body = rows.map(({ id = "", cells }) => Object.assign(line(cells, "td", "cell"), { id }));
  return make(
    "table",
    { className: kind, role: "table", ariaLabel: label },
    make("thead", { role: "rowgroup" }, line(columns, "th", "columnheader")),
    make("tbody", { role: "rowgroup" }, ...body),
  );
}

// -- fields -----------------------------------------------------------------------------------------------------------

/** The type of a field in a few words, and what else its value has to be. */
function typeOf(schema) {
  if ("const" in schema) return JSON.stringify(schema.const);
  const choices = schema.anyOf ?? [schema];
  return choices.map((choice) => choice.type ?? "any JSON").join(" or ");
}

function boundsOf({ maxLength, minimum, format }) {
  const bounds = [];
  if (maxLength !== undefined) bounds.push(`up to ${maxLength} characters`);
  if (minimum !== undefined) bounds.push(`from ${minimum} on`);
  if (format) bounds.push(format);
  return bounds.join(", ");
}

function describe({ description, examples }) {
  if (description || !examples) return rich(description ?? "");
  return make("span", { className: "soft", textContent: `such as ${examples.map((one) => JSON.stringify(one)).join(" or ")}` });
}

function fieldTable(label, fields) {
  const rows = fields.map(({ name, schema, required }) => {
    const all = Object.assign({}, ...(schema.anyOf ?? []), schema); // what is said of the one type beside null
    return {
      cells: [
        make("code", { className: "name", textContent: name }),
        [make("span", { textContent: typeOf(schema) }), make("small", { textContent: boundsOf(all) })],
        make("span", { className: required ? "" : "soft", textContent: required ? "required" : "optional" }),
        describe(all),
      ],
    };
  });
  return table("fields", label, ["Name", "Type", "Required", "Description"], rows);
}

function fieldsOf({ properties, required = [] }) {
  return Object.entries(properties).map(([name, schema]) => ({ name, schema, required: required.includes(name) }));
}

// -- examples ---------------------------------------------------------------------------------------------------------

function coloured(json) {
  const parts = [];
  let end = 0;
  for (const match of json.matchAll(TOKENS)) {
    const [token, text, colon = ""] = match;
    const className = colon ? "key" : text ? "text" : "value";
    const word = text ?? token;
    parts.push(json.slice(end, match.index), make("span", { className, textContent: word }), colon);
    end = match.index + token.length;
  }
  return [...parts, json.slice(end)];
}

function copyButton(text) {
  const button = make("button", { type: "button", textContent: "Copy", hidden: !navigator.clipboard });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return button;
}

function example({ summary, payload }) {
  const json = JSON.stringify(payload, null, 2);
  const caption = make("figcaption", {}, make("span", {}, ...rich(summary)), copyButton(JSON.stringify(payload)));
  return make("figure", {}, caption, make("pre", {}, ...coloured(json)));
}

// -- sections ---------------------------------------------------------------------------------------------------------

function serverAddress() {
  const { protocol, host, pathname = "" } = Object.values(spec.servers)[0];
  return `${protocol}://${host}${pathname}`;
}

function addressBar(address, parameters) {
  const parts = address.split(/(\{\w+\})/).map((part) => (part.startsWith("{") ? make("b", { textContent: part }) : part));
  const filled = address.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parameters[name].examples[0]));
  const whole = make("code", {}, make("span", { textContent: serverAddress() }), ...parts);
  const one = `${serverAddress()}${filled}`;
  return [
    make("div", { className: "shell" }, whole),
    make("p", { className: "try" }, "For example ", make("code", { textContent: one }), copyButton(one)),
  ];
}

function channelCard([id, channel]) {
  const path = Object.entries(channel.parameters).map(([name, { description }]) => {
    return { name, schema: { type: "string", description }, required: true };
  });
  return make(
    "article",
    { className: "channel" },
    heading("h3", `channel-${id}`, channel.title),
    make("p", {}, ...rich(channel.summary)),
    ...addressBar(channel.address, channel.parameters),
    make("h4", { textContent: "In the address" }),
    fieldTable(`Parameters in the address of ${channel.title}`, path),
    make("h4", { textContent: "In the query" }),
    fieldTable(`Query of ${channel.title}`, fieldsOf(channel.bindings.ws.query)),
  );
}

function securityTable({ description, security }) {
  const rows = security.map(follow).map((scheme) => {
    const place = scheme.in ?? "header";
    return { cells: [make("code", { textContent: scheme.name ?? "Authorization" }), place, rich(scheme.description)] };
  });
  const [lead, ...others] = paragraphs(description);
  return [lead, table("codes", "Ways to send a token", ["Name", "In", "How"], rows), ...others];
}

/** The messages that clients send or get; AsyncAPI tells it from the service's side. */
function messagesOf(action) {
  const operations = Object.values(spec.operations).filter((operation) => operation.action === action);
  return [...new Set(operations.flatMap((operation) => operation.messages.map(follow)))];
}

function messageCard(message) {
  const { name, title, description, payload, examples } = message;
  const isLong = examples.length > SHOWN_EXAMPLES;
  const more = make("p", {}, make("a", { href: "#errors", textContent: `All ${examples.length} codes` }));
  return make(
    "article",
    { className: "message" },
    heading("h3", `message-${name}`, name),
    make("p", { className: "soft" }, ...rich(title)),
    ...(description ? paragraphs(description) : []),
    make(
      "div",
      { className: "sides" },
      fieldTable(`Fields of ${name}`, fieldsOf(follow(payload))),
      make("div", {}, ...examples.slice(0, isLong ? 1 : SHOWN_EXAMPLES).map(example), ...(isLong ? [more] : [])),
    ),
  );
}

function errorTable({ examples }) {
  const rows = examples.map(({ name, summary, payload }) => ({
    id: `code-${payload.code}`,
    cells: [
      [make("code", { textContent: payload.code }), make("small", { textContent: name })],
      payload.message,
      make("span", { className: "soft" }, ...rich(summary)),
    ],
  }));
  return table("codes stacked", "Error codes", ["Code", "Sentence", "When, and what then"], rows);
}

function closeTable(codes) {
  const rows = codes.map(({ code, reason, then }) => ({
    id: `close-${code}`,
    cells: [make("code", { textContent: code }), rich(reason), rich(then)],
  }));
  return table("codes", "Close codes", ["Code", "Why", "What then"], rows);
}

function limitTable(limits) {
  const rows = limits.map(({ name, value, description }) => ({
    cells: [make("code", { textContent: name }), value.toLocaleString("en"), description],
  }));
  return table("codes", "Limits", ["Setting", "Value", "What it limits"], rows);
}

function showProtocol() {
  element("description").append(...paragraphs(spec.info.description));
  element("channels").append(...Object.entries(spec.channels).map(channelCard));
  element("security").append(...securityTable(Object.values(spec.servers)[0]));
  element("sent").append(...messagesOf("receive").map(messageCard));
  element("received").append(...messagesOf("send").map(messageCard));
  element("error-codes").append(errorTable(spec.components.messages.Error));
  element("close-codes").append(closeTable(spec["x-close-codes"]));
  element("limit-values").append(limitTable(spec["x-limits"]));
  element("protocol").hidden = false;
}

// -- the table of contents --------------------------------------------------------------------------------------------

function listContents() {
  const details = document.querySelector(".contents details");
  const headings = [...document.querySelectorAll("main h2, main h3")];
  const links = headings.map(({ id, textContent }) => make("a", { href: `#${id}`, textContent }));
  element("contents").append(...links.map((link, place) => make("li", { className: headings[place].localName }, link)));

  const isWide = matchMedia("(min-width: 64rem)");
  const fit = () => (details.open = isWide.matches);
  isWide.addEventListener("change", fit);
  element("contents").addEventListener("click", fit);
  fit();

  const mark = () => {
    const passed = headings.filter((one) => one.getBoundingClientRect().top < 140).length;
    const isEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const here = isEnd ? links.length - 1 : Math.max(passed - 1, 0);
    links.forEach((link, place) => (link.ariaCurrent = place === here ? "location" : null));
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
}

async function start() {
  const answer = await fetch(document.body.dataset.documentUrl);
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  spec = await answer.json();
  showProtocol();
  listContents();
  if (location.hash) location.replace(location.hash); // the browser looked for it before it was there
}

start().catch((error) => {
  const place = element("failure");
  place.textContent = `The protocol could not be shown: ${error.message}`;
  place.hidden = false;
});
