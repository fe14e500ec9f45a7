// Making and arranging elements. All text goes in as text: nothing that somebody wrote is ever read as HTML.
export const element = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Make `nodes` the children of `parent` and touch only what differs: focus stays, and only news is announced. */
export function arrange(parent, nodes) {
  let here = parent.firstChild;
  for (const node of nodes) {
    if (node === here) here = here.nextSibling;
    else parent.insertBefore(node, here);
  }
  while (here) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}

/** Set a text only when it differs, for the same reason. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  drawing.classList.add("icon");
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(use);
  return drawing;
}

/** The first letter of a name on a colour that is always the same for it. */
export function avatar(name) {
  const [letter] = name;
  const node = make("span", { className: "avatar", textContent: letter.toUpperCase(), ariaHidden: "true" });
  const sum = [...name].reduce((total, character) => (total * 31 + character.codePointAt(0)) % 9_973, 7);
  node.style.setProperty("--hue", (sum * 137) % 360); // the golden angle: neighbours get colours far apart
  return node;
}
