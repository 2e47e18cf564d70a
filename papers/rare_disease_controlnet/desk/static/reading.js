// The reading room: a film is swapped for the next without loading the page, drafts are kept.

import * as keys from "./keys.js";
import { Viewer, load } from "./viewer.js";

const DEBOUNCE = 400; // milliseconds after the last change until a draft is sent
const stage = document.querySelector(".stage");
const canvas = stage.querySelector("canvas");
const level = stage.querySelector(".level");
const list = document.querySelector("dialog.list");
const viewer = new Viewer(canvas, told);
let busy = false; // something was sent, and its answer is not there yet
let draft = 0; // the timer of one that is not sent yet
let looked = { seconds: 0, since: null }; // at this film, while the page was visible

// the film

function told({ view, fitting }) {
  const percent = Math.round(100 * fitting.call(viewer) * view.zoom);
  level.textContent = `W ${Math.round(view.width)}  L ${Math.round(view.level)}  ${percent} %`;
  press("invert", view.invert);
  press("magnify", viewer.lens);
  press("smooth", viewer.smooth);
}

function press(what, pressed) {
  const button = document.querySelector(`[data-do="${what}"]`);
  button.setAttribute("aria-pressed", String(pressed));
}

async function showFilm() {
  const { film, next } = stage.dataset;
  try {
    const found = await load(film);
    if (stage.dataset.film !== film) return; // another one is wanted by now
    viewer.show(found);
    canvas.dataset.shown = film;
  } catch {
    complain("The film could not be loaded: load the page again.");
  }
  begin();
  if (next) load(next).catch(() => {}); // it is asked for again when it is shown
}

function begin() {
  const seconds = panel().querySelector("[name=seconds]");
  looked = { seconds: Number(seconds?.value) || 0, since: performance.now() };
  if (document.hidden) pause();
}

function pause() {
  looked.seconds = elapsed();
  looked.since = null;
}

function elapsed() {
  return looked.seconds + (looked.since === null ? 0 : (performance.now() - looked.since) / 1000);
}

// the answer

function panel() {
  return document.querySelector(".panel");
}

function answerForm() {
  return panel().querySelector("form.answer");
}

function complain(text) {
  const place = panel().querySelector(".alert");
  place.textContent = text;
  place.hidden = false;
}

function filled(form) {
  if (form.elements.seconds) form.elements.seconds.value = elapsed().toFixed(2);
  return new URLSearchParams(new FormData(form));
}

async function go(address, body) {
  if (busy) return;
  busy = true;
  clearTimeout(draft);
  panel().setAttribute("aria-busy", "true");
  try {
    const method = body ? "POST" : "GET";
    const answer = await fetch(address, { method, body, headers: { Accept: "text/html" } });
    await arrive(answer);
  } catch {
    complain("The desk cannot be reached. Nothing is lost: try again in a moment.");
  } finally {
    busy = false;
    panel()?.removeAttribute("aria-busy");
  }
}

async function arrive(answer) {
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (answer.status === 401 || new URL(answer.url).pathname === "/login") {
    location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
  } else if (!answer.ok) {
    complain(page.querySelector("main [role=alert]")?.textContent ?? "That did not work.");
  } else if (page.querySelector(".room")) {
    swap(page, answer.url);
  } else {
    location.assign(answer.url); // the end
  }
}

function swap(page, address) {
  const { film, next } = page.querySelector(".stage").dataset;
  const changes = film !== stage.dataset.film;
  Object.assign(stage.dataset, { film, next });
  panel().replaceWith(document.adoptNode(page.querySelector(".panel")));
  document.title = page.title;
  history.replaceState(null, "", address);
  if (changes) window.scrollTo(0, 0);
  panel().querySelector("h1").focus({ preventScroll: true });
  if (changes) showFilm();
  else begin();
}

function sendDraft() {
  draft = 0;
  const form = answerForm();
  if (!form?.dataset.draft || busy) return;
  const body = filled(form);
  fetch(form.dataset.draft, { method: "POST", body, keepalive: true }).catch(() => {});
}

// what is asked for by keys and buttons

const DOES = {
  legitimate: () => choose("quality", "legitimate"),
  artefacted: () => choose("quality", "artefacted"),
  comment: () => panel().querySelector("textarea")?.focus(),
  leave: () => document.activeElement.blur(),
  submit: () => (answerForm() ? answerForm().requestSubmit() : follow("next")),
  undo: () => panel().querySelector("form.undo")?.requestSubmit(),
  before: () => follow("prev"),
  after: () => follow("next"),
  keys: () => list.showModal(),
  "toggle-keys": toggleKeys,
  invert: () => viewer.invert(),
  "zoom-in": () => viewer.zoomIn(),
  "zoom-out": () => viewer.zoomOut(),
  fit: () => viewer.fit(),
  "one-to-one": () => viewer.oneToOne(),
  reset: () => viewer.reset(),
  "flip-h": () => viewer.flip("across"),
  "flip-v": () => viewer.flip("down"),
  "rotate-right": () => viewer.turn(1),
  "rotate-left": () => viewer.turn(-1),
  magnify: () => viewer.magnify(),
  smooth: () => viewer.smoothen(),
  drag: swapButtons,
};

function act(what) {
  const numbered = /^(window|choose)-(\d)$/.exec(what);
  if (numbered?.[1] === "window") viewer.window(Number(numbered[2]));
  else if (numbered) choose(answerForm()?.elements.origin ? "origin" : "score", numbered[2]);
  else DOES[what]();
}

function choose(name, value) {
  const input = panel().querySelector(`input[name="${name}"][value="${value}"]`);
  if (!input) return;
  input.checked = true;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

function follow(rel) {
  const link = panel().querySelector(`a[rel="${rel}"]`);
  if (link) go(link.href);
}

function swapButtons() {
  viewer.dragsWindow = !viewer.dragsWindow;
  const button = document.querySelector('[data-do="drag"]');
  button.textContent = `Drag: ${viewer.dragsWindow ? "window" : "move"}`;
}

function toggleKeys() {
  keys.toggle();
  showKeys();
}

function showKeys() {
  const button = document.querySelector('[data-do="toggle-keys"]');
  button.textContent = keys.areOn() ? "Keys on" : "Keys off";
  button.setAttribute("aria-pressed", String(keys.areOn()));
}

document.addEventListener("keydown", (event) => {
  const what = keys.asked(event);
  if (!what || (event.repeat && what === "submit")) return;
  event.preventDefault();
  act(what);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  const link = event.target.closest(".panel a[rel]");
  if (button) act(button.dataset.do);
  if (link && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    go(link.href);
  }
});
document.addEventListener("submit", (event) => {
  if (!event.target.closest(".panel")) return;
  event.preventDefault();
  go(event.target.action, filled(event.target));
});
document.addEventListener("input", changed);
document.addEventListener("change", changed);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) looked.since ??= performance.now();
  else {
    pause();
    if (draft) sendDraft();
  }
});
window.addEventListener("pagehide", () => draft && sendDraft());

function changed(event) {
  if (!event.target.closest("form[data-draft]")) return;
  clearTimeout(draft);
  draft = setTimeout(sendDraft, DEBOUNCE);
}

// where there is no script, the image and the plain form stay
stage.querySelector("img").hidden = true;
for (const hidden of [canvas, level, ...document.querySelectorAll(".toolbar, .thin [data-do]")]) {
  hidden.hidden = false;
}
showKeys();
showFilm();
