// What outlives a reload (of this window) and what outlives the window; a browser may allow neither.
function read(storage, key) {
  try {
    return JSON.parse(storage().getItem(`chat.${key}`)) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(storage, key, value) {
  try {
    if (value === undefined) storage().removeItem(`chat.${key}`);
    else storage().setItem(`chat.${key}`, JSON.stringify(value));
  } catch {
    // Full or forbidden: the chat goes on, it is only forgotten at the next reload.
  }
}

const browser = () => localStorage;
const thisWindow = () => sessionStorage;

export const recall = (key) => read(browser, key);
export const remember = (key, value) => write(browser, key, value);
export const recallHere = (key) => read(thisWindow, key);
export const rememberHere = (key, value) => write(thisWindow, key, value);

export function forgetHere() {
  try {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith("chat.")) sessionStorage.removeItem(key);
  } catch {
    // Where nothing may be kept, nothing is there.
  }
}
