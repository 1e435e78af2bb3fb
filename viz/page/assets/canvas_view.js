'use strict';
// The picture on a canvas, for those too large for SVG: only what is in view is drawn, and the
// less of it the further one is away. Wires are in canvas_wires.js. Above marks and the grid.

const WORDS_FROM = 0.42; // scale from which words can be read
const LINES_FROM = 0.14; // scale from which boxes have outlines

class CanvasView {
  constructor(host, model) {
    this.model = model;
    this.canvas = host.querySelector('canvas');
    this.context = this.canvas.getContext('2d', { alpha: false });
    this.wires = new CanvasWires(model);
    this.marks = new Marks(model);
    this.growth = new Growth(model);
    this.play = null;
    this.view = { x: 0, y: 0, k: 1 };
    this.waiting = false;
    this.paler = new Map();
    this.dark = 0;
    this.frames = 0;
    this.resize();
  }

  color(i) { return this.model.colors[i][this.dark]; }

  // A colour with so much of it left on the paper: solid, so that lines do not add up.
  pale(i, share) {
    const key = `${i}/${share}/${this.dark}`;
    if (!this.paler.has(key)) {
      const part = (text, at) => parseInt(text.slice(at, at + 2), 16);
      const [ink, paper] = [CanvasView.digits(this.color(i)), CanvasView.digits(this.look.paper)];
      const mixed = [0, 2, 4].map((at) => Math.round(part(ink, at) * share + part(paper, at) * (1 - share)));
      this.paler.set(key, `rgb(${mixed.join(',')})`);
    }
    return this.paler.get(key);
  }

  static digits(color) {
    const text = color.replace('#', '');
    return text.length === 3 ? [...text].map((c) => c + c).join('') : text;
  }

  theme(dark) {
    this.dark = Number(dark);
    const style = getComputedStyle(document.documentElement);
    this.look = Object.fromEntries(['paper', 'band', 'band-even', 'muted', 'ink', 'hit', 'now',
      'back', 'focus', 'fold', 'path', 'grown'].map((name) => [name,
      CanvasView.resolved(style.getPropertyValue(`--${name}`), this.dark)]));
    this.later();
  }

  // The half of light-dark(a, b) that is meant.
  static resolved(text, dark) {
    const found = /light-dark\(\s*([^,]+),\s*([^)]+)\)/.exec(text);
    return (found ? found[1 + dark] : text).trim();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.width = Math.max(clientWidth, 1);
    this.height = Math.max(clientHeight, 1);
    this.canvas.width = Math.round(this.width * this.ratio);
    this.canvas.height = Math.round(this.height * this.ratio);
    this.later();
  }

  camera(view) {
    this.view = { ...view };
    this.later();
  }

  layout(g, spatial) {
    this.g = g;
    this.spatial = spatial;
    this.wires.layout(g, spatial);
    this.later();
  }

  paint(marks, play) {
    this.marks = marks;
    this.play = play && play.back ? play : null;
    this.later();
  }

  // Draw once before the next frame, however much has changed.
  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.g && this.look) this.draw();
    });
  }

  draw() {
    const { context: c, ratio } = this;
    const { x, y, k } = this.view;
    this.frames += 1;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.fillStyle = this.look.paper;
    c.fillRect(0, 0, this.canvas.width, this.canvas.height);
    c.setTransform(k * ratio, 0, 0, k * ratio, x * ratio, y * ratio);
    const seen = [-x / k, -y / k, (this.width - x) / k, (this.height - y) / k];
    const [boxes, wires] = this.spatial.within(...seen);
    boxes.sort((p, q) => p - q);
    this.drawBands(seen);
    this.drawShapes(seen);
    this.wires.draw(c, this, wires, seen);
    this.drawFolds();
    if (k < LINES_FROM && boxes.length > 1500) this.drawSpecks(boxes);
    else this.drawBoxes(boxes);
    if (k >= WORDS_FROM) this.wires.words(c, this, wires, seen);
  }

  drawBands([x0, , x1]) {
    const { context: c, look } = this;
    for (const band of this.g.bands) {
      if (band.hidden || band.x > x1 || band.x + band.w < x0 || band.w * this.view.k < 2) continue;
      c.fillStyle = band.shaded ? look['band-even'] : look.band;
      c.fillRect(band.x, band.y, band.w, band.h);
    }
  }

  drawFolds() {
    const { context: c, look } = this;
    for (const { x, y, w, h, text } of [...this.g.gaps, ...this.g.seams]) {
      c.fillStyle = look.fold;
      c.globalAlpha = 0.88; // the wires that cross show through
      c.fillRect(x + 2, y, Math.max(w - 4, 1), h);
      c.globalAlpha = 1;
      if (this.view.k >= WORDS_FROM) {
        this.text(text, x + w / 2, h > 60 ? y + 15 : y + h / 2 + 4, 10, look.ink);
      }
    }
  }

  text(words, x, y, size, color, anchor = 'center', bold = false) {
    const { context: c } = this;
    c.font = `${bold ? 'bold ' : ''}${size}px Helvetica, Arial, "DejaVu Sans", sans-serif`;
    c.textAlign = anchor;
    c.fillStyle = color;
    c.fillText(words, x, y);
  }

  drawBoxes(boxes) {
    const { context: c, model, g, marks, look } = this;
    const detailed = this.view.k >= WORDS_FROM;
    for (const i of boxes) {
      const mark = marks.box[i];
      const [x, y, w, h] = g.rect.subarray(4 * i, 4 * i + 4);
      const kind = model.word(model.boxKind[i]);
      c.globalAlpha = mark & (DIM | PALE) ? 0.2 : 1;
      c.beginPath();
      if (detailed) c.roundRect(x, y, w, h, kind === 'cell' || kind === 'module' ? 10 : 4);
      else c.rect(x, y, w, h);
      c.fillStyle = this.color(model.fill[i]);
      c.fill();
      c.lineWidth = 1.4;
      c.strokeStyle = this.color(model.stroke[i]);
      const strong = this.outline(mark, look);
      if (strong) {
        c.lineWidth = Math.max(3, 2 / this.view.k);
        c.strokeStyle = strong;
      }
      c.setLineDash(kind === 'gap' ? [4, 3] : []);
      c.stroke();
      if (detailed) this.drawLines(i, x, y, w, h);
      if (this.play && this.growth.weights.has(i)) this.drawGrowth(i, x, y, w, h, detailed);
    }
    c.globalAlpha = 1;
    c.setLineDash([]);
  }

  outline(mark, look) {
    if (mark & NOW) return mark & BACK ? look.back : look.now;
    if (mark & PICKED) return look.focus;
    if (mark & HIT) return look.hit;
    return mark & ON ? look.path : '';
  }

  drawLines(i, x, y, w, h) {
    const { model, look } = this;
    const lines = model.lines[i];
    const first = y + (h - (12 + 14 * (lines.length - 1))) / 2 + 10;
    const growing = this.play && this.growth.weights.has(i) && lines.length > 2
      && this.growth.words(i, this.play) !== '';
    lines.forEach((word, k) => {
      if (growing && k === 1) return; // in its place stands what the stage adds
      this.text(model.word(word), x + w / 2, first + 14 * k, k ? 10 : 12, k ? look.muted : look.ink);
    });
    if (model.mark[i] >= 0) {
      this.text(model.word(model.mark[i]), x + w, y + 4, 15, look.back, 'center', true);
    }
  }

  // What has been added to the gradient of a weight so far.
  drawGrowth(i, x, y, w, h, detailed) {
    const { context: c, growth, play, look } = this;
    const [left, top, wide] = Growth.place(x, y, w, h);
    c.globalAlpha = 1;
    c.setLineDash([]);
    c.fillStyle = look.fold;
    c.fillRect(left, top, wide, BAR);
    for (const { from, to, now } of growth.parts(i, play)) {
      c.fillStyle = now ? look.back : look.grown;
      c.fillRect(left + from * wide, top, Math.max((to - from) * wide, 0.3), BAR);
    }
    const whole = growth.whole(i);
    c.fillStyle = look.ink;
    if (whole !== null) c.fillRect(left + whole * wide - 0.6, top - 1.5, 1.2, BAR + 3);
    const words = detailed ? growth.words(i, play) : '';
    const lower = this.model.lines[i].length > 2 ? y + h / 2 + 4 : y - 3;
    if (words) this.text(words, x + w / 2, lower, 10, look.back, 'center', true);
  }

  // From far away: a speck for each box, and only one where many fall on the same point.
  drawSpecks(boxes) {
    const { context: c, model, g, marks } = this;
    const { k } = this.view;
    const least = 1.5 / k;
    const groups = new Map();
    const taken = new Set();
    const width = Math.ceil(this.width) + 4;
    for (const i of boxes) {
      const [x, y, w, h] = g.rect.subarray(4 * i, 4 * i + 4);
      const spot = Math.round((y * k + this.view.y) / 2) * width + Math.round((x * k + this.view.x) / 2);
      const strong = marks.box[i] & STRONG;
      if (taken.has(spot) && !strong) continue;
      taken.add(spot);
      const color = this.outline(marks.box[i], this.look) || this.color(model.stroke[i]);
      const key = `${marks.box[i] & (DIM | PALE) ? 0.2 : 1} ${color}`;
      if (!groups.has(key)) groups.set(key, []);
      const own = strong ? 4 / k : least;
      groups.get(key).push(x, y, Math.max(w, own), Math.max(h, own));
    }
    for (const [key, rects] of groups) {
      const [alpha, color] = [key.slice(0, key.indexOf(' ')), key.slice(key.indexOf(' ') + 1)];
      c.globalAlpha = Number(alpha);
      c.fillStyle = color;
      for (let n = 0; n < rects.length; n += 4) {
        c.fillRect(rects[n], rects[n + 1], rects[n + 2], rects[n + 3]);
      }
    }
    c.globalAlpha = 1;
  }

  drawShapes([x0, y0, x1, y1]) {
    const { context: c, g } = this;
    for (const shape of this.model.data.shapes) {
      if (Layout.hidden(shape, g)) continue;
      if (shape[0] === 'rect') {
        const [x, y, w, h] = Layout.rect(shape, g);
        if (x > x1 || x + w < x0 || y > y1 || y + h < y0) continue;
        c.fillStyle = shape[5] >= 0 ? this.color(shape[5]) : 'transparent';
        c.fillRect(x, y, w, h);
        if (shape[6] >= 0) {
          c.lineWidth = 1;
          c.strokeStyle = this.color(shape[6]);
          c.strokeRect(x, y, w, h);
        }
      } else if (shape[0] === 'line') {
        c.beginPath();
        Layout.points(shape, g).forEach(([x, y], k) => (k ? c.lineTo(x, y) : c.moveTo(x, y)));
        if (shape[5] >= 0) {
          c.closePath();
          c.fillStyle = this.color(shape[5]);
          c.fill();
        }
        this.stroke(shape[2], shape[3], shape[4] ? shape[4].split(/[ ,]+/).map(Number) : []);
      } else if (this.view.k >= WORDS_FROM) this.drawWords(shape);
    }
    c.setLineDash([]);
  }

  stroke(color, width, dash) {
    const { context: c } = this;
    if (color < 0) return;
    c.strokeStyle = this.color(color);
    c.lineWidth = width;
    c.setLineDash(dash);
    c.stroke();
  }

  drawWords([, x, y, word, size, color, anchor, bold, angle]) {
    const { context: c, g, model } = this;
    const side = { start: 'left', middle: 'center', end: 'right' }[anchor];
    c.save();
    c.translate(g.x.map(x), g.y.map(y));
    c.rotate((angle * Math.PI) / 180);
    this.text(model.word(word), 0, 0, size, this.color(color), side, Boolean(bold));
    c.restore();
  }
}
