'use strict';
// Which part of the picture is seen: a place and a scale. Moves by hand, by key and by itself, and
// keeps the picture from getting lost. Below gestures and the app.

const CLOSEST = 6;
const LEGIBLE = 0.9; // the scale from which the smallest words of a picture, of 10 pixels, have 9
const MARGIN = 24; // pixels around what is fitted
const QUIET = window.matchMedia('(prefers-reduced-motion: reduce)');

class Camera {
  constructor(stage, changed) {
    this.stage = stage;
    this.changed = changed;
    this.x = 0;
    this.y = 0;
    this.k = 1;
    this.bounds = { x0: 0, y0: 0, x1: 1, y1: 1 };
    this.goal = 0; // counts flights, so that a new one ends the one before
    this.home = null; // the rectangle that the page opens at
    this.free = false; // whether the reader has moved it: until then every new size fits the picture
    this.seen = [0, 0]; // the size at the last look
  }

  // The frame has a size, maybe for the first time, maybe another one.
  resize() {
    const [w, h] = this.size;
    if (!w || !h) return; // hidden
    const [before, above] = this.seen;
    this.seen = [w, h];
    if (!this.free) this.start();
    else this.set(this.x + (w - before) / 2, this.y + (h - above) / 2, this.k);
  }

  get size() { return [this.stage.clientWidth, this.stage.clientHeight]; }

  get fitting() {
    const [w, h] = this.size;
    const { x0, y0, x1, y1 } = this.bounds;
    return Math.max(Math.min((w - 2 * MARGIN) / Math.max(x1 - x0, 1),
      (h - RULER - 2 * MARGIN) / Math.max(y1 - y0, 1)), 1e-4);
  }

  set(x, y, k) {
    if (!this.size[0]) return;
    const least = Math.min(this.fitting * 0.5, 0.5);
    this.k = Math.min(Math.max(k, least), CLOSEST);
    const [w, h] = this.size;
    const { x0, y0, x1, y1 } = this.bounds;
    const within = (v, low, high, room) => Math.min(Math.max(v, 80 - high * this.k),
      room - 80 - low * this.k);
    this.x = within(x, x0, x1, w);
    this.y = within(y, y0, y1, h);
    this.changed(this);
  }

  pan(dx, dy) {
    this.goal += 1;
    if (dx || dy) this.free = true;
    this.set(this.x + dx, this.y + dy, this.k);
  }

  // Zoom by a factor about a point of the stage, its middle where none is given.
  zoom(factor, px, py) {
    const [w, h] = this.size;
    const [cx, cy] = px === undefined ? [w / 2, h / 2] : [px, py];
    this.goal += 1;
    this.free = true;
    const before = this.k;
    const least = Math.min(this.fitting * 0.5, 0.5);
    const k = Math.min(Math.max(before * factor, least), CLOSEST);
    this.set(cx - ((cx - this.x) * k) / before, cy - ((cy - this.y) * k) / before, k);
  }

  fit(animate = true) {
    const [w, h] = this.size;
    const { x0, y0, x1, y1 } = this.bounds;
    const k = Math.min(this.fitting, 1.6);
    this.fly((w - (x0 + x1) * k) / 2, (h + RULER - (y0 + y1) * k) / 2, k, animate);
  }

  // All of the picture where it can be read that way; else the end of time and, within it, the
  // place that the page opens at, as small as can be read.
  start() {
    this.free = false;
    if (this.fitting >= LEGIBLE) {
      this.fit(false);
      this.free = false;
      return;
    }
    const [w, h] = this.size;
    const { x0, y0, x1, y1 } = this.bounds;
    const k = Math.min(Math.max((h - RULER - 2 * MARGIN) / Math.max(y1 - y0, 1), LEGIBLE), 1);
    const home = this.home || [x1, y0, 0, 0];
    this.set(Camera.along(w, MARGIN, [x0, x1], [home[0], home[0] + home[2]], k, true),
      Camera.along(h, RULER + MARGIN, [y0, y1], [home[1], home[1] + home[3]], k, false), k);
  }

  // Where an axis begins on the stage, with room from `from` to `size` less a margin: in the
  // middle where all fits, else with its far or near end at the edge and the home in view.
  static along(size, from, [low, high], [near, far], k, end) {
    const room = size - MARGIN - from;
    if ((high - low) * k <= room) return from + (room - (low + high) * k) / 2;
    const edge = end ? size - MARGIN - high * k : from - low * k;
    const least = from + 16 - near * k;
    const most = size - MARGIN - 16 - far * k;
    return least <= most ? Math.min(Math.max(edge, least), most) : least;
  }

  // Bring a rectangle of the picture into view; the card covers so much on the right or below.
  show([x, y, w, h], [right, below] = [0, 0]) {
    const [width, height] = [this.size[0] - right, this.size[1] - below];
    const k = this.k < 0.45 ? 0.8 : this.k;
    const [left, top] = [x * k + this.x, y * k + this.y];
    const seen = k === this.k && left > 20 && top > RULER + 10 && left + w * k < width - 20
      && top + h * k < height - 20;
    if (seen) return;
    this.fly(width / 2 - (x + w / 2) * k, (height + RULER) / 2 - (y + h / 2) * k, k);
  }

  fly(x, y, k, animate = true) {
    this.goal += 1;
    this.free = true;
    if (!animate || QUIET.matches) {
      this.set(x, y, k);
      return;
    }
    const goal = this.goal;
    const from = [this.x, this.y, this.k];
    const began = performance.now();
    const move = (now) => {
      if (goal !== this.goal) return;
      const share = Math.min(Math.max((now - began) / 220, 0), 1);
      const s = 1 - (1 - share) ** 3;
      this.set(from[0] + (x - from[0]) * s, from[1] + (y - from[1]) * s,
        from[2] + (k - from[2]) * s);
      if (share < 1) requestAnimationFrame(move);
    };
    requestAnimationFrame(move);
  }

  // A place on the stage as one on the picture.
  world(px, py) { return [(px - this.x) / this.k, (py - this.y) / this.k]; }
}
