// Which key does what in the reading room. Keys pause while somebody types, and can be turned off.

const LETTERS = {
  a: "legitimate",
  x: "artefacted",
  c: "comment",
  u: "undo",
  i: "invert",
  h: "flip-h",
  v: "flip-v",
  r: "rotate-right",
  l: "rotate-left",
  m: "magnify",
};
const SIGNS = {
  "?": "keys",
  "+": "zoom-in",
  "-": "zoom-out",
  "−": "zoom-out",
  "=": "fit",
  " ": "reset",
  Enter: "submit",
  ArrowLeft: "before",
  ArrowRight: "after",
};
const OFF = "reading-keys-off";

export function areOn() {
  return localStorage.getItem(OFF) === null;
}

export function toggle() {
  if (areOn()) localStorage.setItem(OFF, "yes");
  else localStorage.removeItem(OFF);
}

// Returns what a key asks for, or null where it means something else.
export function asked(event) {
  const { target, key, code } = event;
  if (event.altKey || event.metaKey) return null;
  if (target.closest("textarea, select, input:not([type=radio], [type=checkbox])")) {
    if (key === "Enter" && event.ctrlKey) return "submit";
    return key === "Escape" ? "leave" : null;
  }
  if (event.ctrlKey) return key === "Enter" ? "submit" : null;
  const own = isOf(target, key);
  if (own || !areOn()) return null;
  const digit = /^(?:Digit|Numpad)([1-5])$/.exec(code);
  if (digit && event.shiftKey) return digit[1] < 5 ? `window-${digit[1]}` : null;
  if (digit) return `choose-${digit[1]}`;
  return LETTERS[key.toLowerCase()] ?? SIGNS[key] ?? null;
}

// Returns whether a control does something of its own with a key.
function isOf(target, key) {
  if (target.closest("dialog")) return true;
  if (key === "Enter") return target.closest("button, a, summary") !== null;
  if (key === " ") return target.closest("button, summary, input") !== null;
  return key.startsWith("Arrow") && target.closest("input[type=radio]") !== null;
}
