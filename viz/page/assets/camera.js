'use strict';
// Which part of the picture is seen: a place and a scale. Moves by hand, by key and by itself, and
// keeps the picture from getting lost. Below gestures and the app.

const CLOSEST = 6;
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
  }

  get size() { return [this.stage.clientWidth, this.stage.clientHeight]; }

  get fitting() {
    const [w, h] = this.size;
    const { x0, y0, x1, y1 } = this.bounds;
    return Math.min((w - 48) / Math.max(x1 - x0, 1), (h - RULER - 60) / Math.max(y1 - y0, 1));
  }

  set(x, y, k) {
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
    this.set(this.x + dx, this.y + dy, this.k);
  }

  // Zoom by a factor about a point of the stage, its middle where none is given.
  zoom(factor, px, py) {
    const [w, h] = this.size;
    const [cx, cy] = px === undefined ? [w / 2, h / 2] : [px, py];
    this.goal += 1;
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

  // The whole height in view and the beginning of time at the left.
  start() {
    const [w, h] = this.size;
    const { x0, y0, x1, y1 } = this.bounds;
    if (this.fitting >= 0.5) {
      this.fit(false);
      return;
    }
    const k = Math.min(Math.max((h - RULER - 60) / Math.max(y1 - y0, 1), 0.5), 1);
    this.set((x1 - x0) * k < w - 48 ? (w - (x0 + x1) * k) / 2 : 24 - x0 * k,
      (y1 - y0) * k < h - RULER ? (h + RULER - (y0 + y1) * k) / 2 : RULER + 12 - y0 * k, k);
  }

  // Bring a rectangle of the picture into view; `centre` puts it into the middle.
  show(x, y, w, h, centre = false) {
    const [width, height] = this.size;
    const k = this.k < 0.45 ? 0.8 : this.k;
    const [left, top] = [x * k + this.x, y * k + this.y];
    const seen = k === this.k && left > 20 && top > RULER + 10 && left + w * k < width - 20
      && top + h * k < height - 20;
    if (seen && !centre) return;
    this.fly(width / 2 - (x + w / 2) * k, (height + RULER) / 2 - (y + h / 2) * k, k);
  }

  fly(x, y, k, animate = true) {
    this.goal += 1;
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
