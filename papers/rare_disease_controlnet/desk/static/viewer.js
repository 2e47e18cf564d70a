// A film on a canvas: window and level by a lookup table, zoom, pan, flips, turns, a magnifier.

const WINDOWS = [
  { level: 127.5, width: 255 }, // default: every gray value as it is
  { level: 85, width: 130 }, // lung
  { level: 180, width: 150 }, // bone
  { level: 127.5, width: 90 }, // narrow
];
const ZOOM = { step: 1.25, least: 0.25, most: 16 };
const LENS = { radius: 95, power: 2.5 };
const KEPT = 4; // decoded films
const films = new Map(); // address to the promise of a film

// Returns the promise of a film, decoded once; a film that could not be had may be asked for again.
export function load(address) {
  if (!films.has(address)) {
    const film = decode(address);
    film.catch(() => films.delete(address));
    films.set(address, film);
    if (films.size > KEPT) films.delete(films.keys().next().value);
  }
  return films.get(address);
}

async function decode(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  const canvas = sized(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const colors = context.getImageData(0, 0, width, height).data;
  const gray = new Uint8Array(width * height);
  for (let i = 0; i < gray.length; i++) gray[i] = colors[4 * i];
  return { width, height, gray };
}

function sized(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function fresh() {
  const { level, width } = WINDOWS[0];
  return { level, width, invert: false, zoom: 1, x: 0, y: 0, across: 1, down: 1, turns: 0 };
}

function within(value, least, most) {
  return Math.min(most, Math.max(least, value));
}

export class Viewer {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed; // called after every painting
    this.view = fresh();
    this.smooth = true;
    this.lens = false;
    this.dragsWindow = true; // with the left button; the right one does the other
    this.pointer = null; // where it is, for the magnifier
    this.fingers = new Map();
    this.film = null;
    this.toned = sized(1, 1); // the film after the lookup table
    this.table = ""; // by which it was made
    this.listen();
    new ResizeObserver(() => this.paint()).observe(canvas);
  }

  show(film) {
    this.film = film;
    this.toned = sized(film.width, film.height);
    this.table = "";
    this.reset();
  }

  // what buttons and keys do

  reset() {
    this.view = fresh();
    this.paint();
  }

  window(number) {
    Object.assign(this.view, WINDOWS[number - 1]);
    this.paint();
  }

  invert() {
    this.view.invert = !this.view.invert;
    this.paint();
  }

  zoomBy(factor, at = { x: 0, y: 0 }) {
    const zoom = within(this.view.zoom * factor, ZOOM.least, ZOOM.most);
    const grown = zoom / this.view.zoom;
    this.view.x = at.x - (at.x - this.view.x) * grown; // what is below `at` stays there
    this.view.y = at.y - (at.y - this.view.y) * grown;
    this.view.zoom = zoom;
    this.paint();
  }

  zoomIn() {
    this.zoomBy(ZOOM.step);
  }

  zoomOut() {
    this.zoomBy(1 / ZOOM.step);
  }

  fit() {
    Object.assign(this.view, { zoom: 1, x: 0, y: 0 });
    this.paint();
  }

  oneToOne() {
    Object.assign(this.view, { zoom: 1 / (this.fitting() * devicePixelRatio), x: 0, y: 0 });
    this.paint();
  }

  flip(axis) {
    this.view[axis] *= -1;
    this.paint();
  }

  turn(quarters) {
    const mirrored = this.view.across * this.view.down; // a mirrored film turns the other way
    this.view.turns = (this.view.turns + mirrored * quarters + 4) % 4;
    this.paint();
  }

  magnify() {
    this.lens = !this.lens;
    this.paint();
  }

  smoothen() {
    this.smooth = !this.smooth;
    this.paint();
  }

  // painting

  fitting() {
    const { width, height } = this.film;
    const lying = this.view.turns % 2;
    const [wide, high] = lying ? [height, width] : [width, height];
    return Math.min(this.canvas.clientWidth / wide, this.canvas.clientHeight / high);
  }

  paint() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!this.film || !width || !height) return;
    const dense = devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * dense), Math.round(height * dense)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      Object.assign(this.canvas, { width: wide, height: high });
    }
    this.tone();
    const context = this.canvas.getContext("2d", { alpha: false });
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.fillStyle = "#0c0c0c";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = this.smooth;
    context.imageSmoothingQuality = "high";
    const center = { x: width / 2 + this.view.x, y: height / 2 + this.view.y };
    this.place(context, center, this.fitting() * this.view.zoom);
    if (this.lens) this.paintLens(context, center);
    this.changed(this);
  }

  place(context, center, scale) {
    context.save();
    context.translate(center.x, center.y);
    context.scale(this.view.across, this.view.down);
    context.rotate((this.view.turns * Math.PI) / 2);
    context.scale(scale, scale);
    context.drawImage(this.toned, -this.film.width / 2, -this.film.height / 2);
    context.restore();
  }

  paintLens(context, center) {
    const at = this.pointer ?? { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
    const power = LENS.power;
    context.save();
    context.beginPath();
    context.arc(at.x, at.y, LENS.radius, 0, 2 * Math.PI);
    context.fillStyle = "#0c0c0c";
    context.fill();
    context.clip();
    const moved = { x: at.x + (center.x - at.x) * power, y: at.y + (center.y - at.y) * power };
    this.place(context, moved, this.fitting() * this.view.zoom * power);
    context.restore();
    context.beginPath();
    context.arc(at.x, at.y, LENS.radius, 0, 2 * Math.PI);
    context.strokeStyle = "#c9d6da";
    context.lineWidth = 1.5;
    context.stroke();
  }

  tone() {
    const { level, width, invert } = this.view;
    const table = `${level} ${width} ${invert}`;
    if (table === this.table) return;
    this.table = table;
    const shades = new Uint32Array(256);
    for (let value = 0; value < 256; value++) {
      const share = within((value - level) / width + 0.5, 0, 1);
      const shade = Math.round(255 * (invert ? 1 - share : share));
      shades[value] = (0xff000000 | (shade * 0x010101)) >>> 0;
    }
    const { gray } = this.film;
    const pixels = new ImageData(this.film.width, this.film.height);
    const words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < gray.length; i++) words[i] = shades[gray[i]];
    this.toned.getContext("2d").putImageData(pixels, 0, 0);
  }

  // pointers

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.fingers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  fromCenter(point) {
    return { x: point.x - this.canvas.clientWidth / 2, y: point.y - this.canvas.clientHeight / 2 };
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, this.at(event));
  }

  move(event) {
    const now = this.at(event);
    const before = this.fingers.get(event.pointerId);
    this.pointer = now;
    if (before && this.fingers.size === 2) this.pinch(event.pointerId, before, now);
    else if (before) this.drag(event.buttons, now.x - before.x, now.y - before.y);
    else if (this.lens) this.paint();
    if (before) this.fingers.set(event.pointerId, now);
  }

  drag(buttons, x, y) {
    const { view } = this;
    const left = !(buttons & 2) && !(buttons & 4);
    if (left === this.dragsWindow) {
      view.width = within(view.width + x, 1, 512);
      view.level = within(view.level + y, -128, 383);
    } else {
      view.x += x;
      view.y += y;
    }
    this.paint();
  }

  pinch(finger, before, now) {
    const [other] = [...this.fingers].filter(([id]) => id !== finger).map(([, point]) => point);
    const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
    this.zoomBy(apart(now) / apart(before), this.fromCenter(middle));
  }

  wheel(event) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 500), this.fromCenter(this.at(event)));
  }
}
