'use strict';
// The wires of a large picture: short ones by culling, long ones as trunks, and those that are
// marked once more on top. From far away the short ones are thinned out. Below the canvas view.

const MANY = 2500; // more wires in view than this are drawn plainly from afar
const MOST = 7000; // and no more than this at any time
const FAINTEST = 0.16; // of its colour is left of a wire that is dimmed
const STANDING_BACK = 0.4; // and of one that belongs to the other pass

class CanvasWires {
  constructor(model) {
    this.model = model;
    this.coarse = this.coarseStyles();
  }

  // Colours of gradients shade into each other: from far away a few stand for all.
  coarseStyles() {
    const seen = new Map();
    return this.model.styles.map(({ color, width }, i) => {
      const digits = this.model.colors[color][0].replace('#', '');
      const rough = [0, 2, 4].map((at) => parseInt(digits.slice(at, at + 2), 16) >> 5).join();
      const key = `${rough}/${Math.round(width / 2)}`;
      if (!seen.has(key)) seen.set(key, i);
      return seen.get(key);
    });
  }

  layout(g, spatial) {
    this.g = g;
    this.spatial = spatial;
    this.trunks = new Trunks(this.model, g, spatial);
  }

  draw(c, view, wires, seen) {
    const { k } = view.view;
    const { wire: marks } = view.marks;
    c.lineJoin = 'round';
    this.share = view.marks.busy ? FAINTEST : 1;
    this.drawTrunks(c, view, seen);
    if (view.marks.back) this.drawTrunks(c, view, seen, 1);
    const many = k < LINES_FROM || wires.length > (k < WORDS_FROM ? MANY : MOST);
    const chosen = many ? this.thinned(wires, k, marks) : wires;
    const plain = [];
    const strong = [];
    const pale = [];
    const { busy } = view.marks;
    const quiet = [];
    const stands = (w) => marks[w] & STRONG || (busy && !(marks[w] & DIM));
    for (const w of chosen) {
      if (!stands(w)) (marks[w] & PALE ? pale : marks[w] & ASIDE ? quiet : plain).push(w);
    }
    for (const w of wires) if (stands(w)) strong.push(w);
    for (const [group, share] of [[pale, 0.22], [quiet, STANDING_BACK], [plain, this.share]]) {
      this.share = share;
      this.drawGroup(c, view, group, many);
    }
    this.share = 1;
    this.drawGroup(c, view, this.withLong(strong, marks, busy, seen), many && strong.length > MANY);
    this.drawMarked(c, view, strong, marks);
  }

  // All of them or, while the forward pass stands back, that one first and then the backward one.
  drawTrunks(c, view, [x0, y0, x1, y1], back = 0) {
    const { at, style, backward } = this.trunks;
    const far = view.view.k < LINES_FROM;
    const apart = view.marks.back;
    if (apart) this.share = back ? 1 : STANDING_BACK;
    let now = -1;
    c.lineCap = 'butt';
    this.trunks.within(x0, y0, x1, y1, far ? 1.5 / view.view.k : 0, (n) => {
      if (apart && backward[n] !== back) return;
      const own = far ? this.coarse[style[n]] : style[n];
      if (own !== now) {
        if (now >= 0) this.stroke(c, view, now, far);
        now = own;
        c.beginPath();
      }
      c.moveTo(at[4 * n], at[4 * n + 1]);
      c.lineTo(at[4 * n + 2], at[4 * n + 3]);
    });
    if (now >= 0) this.stroke(c, view, now, far);
  }

  // The wires that are longer than a few pixels, and of those one in so many.
  thinned(wires, k, marks) {
    const least = 2.5 / k;
    const e = this.spatial.extent;
    const found = wires.filter((w) => e[4 * w + 2] - e[4 * w] > least
      || e[4 * w + 3] - e[4 * w + 1] > least || (marks[w] & STRONG));
    const step = Math.ceil(found.length / MOST);
    return step <= 1 ? found : found.filter((w) => w % step === 0 || (marks[w] & STRONG));
  }

  // Marked wires that are long are drawn whole, on top of the pale trunks.
  withLong(strong, marks, busy, [x0, y0, x1, y1]) {
    const e = this.spatial.extent;
    for (const w of this.spatial.long) {
      if ((marks[w] & STRONG || (busy && !(marks[w] & DIM))) && e[4 * w] < x1 && e[4 * w + 2] > x0
        && e[4 * w + 1] < y1 && e[4 * w + 3] > y0) strong.push(w);
    }
    return strong;
  }

  drawGroup(c, view, wires, many) {
    const { model } = this;
    const style = (w) => (many ? this.coarse[model.style[w]] : model.style[w]);
    wires.sort((p, q) => style(p) - style(q) || p - q);
    let now = -1;
    for (const w of wires) {
      if (style(w) !== now) {
        if (now >= 0) this.stroke(c, view, now, many);
        now = style(w);
        c.beginPath();
      }
      this.trace(c, view, w, many);
    }
    if (now >= 0) this.stroke(c, view, now, many);
    if (view.view.k >= WORDS_FROM) this.drawTips(c, view, wires);
  }

  trace(c, view, w, many) {
    const p = this.g.points;
    const [start, end] = [2 * this.model.starts[w], 2 * this.model.starts[w + 1]];
    if (!many && view.view.k >= WORDS_FROM) {
      const head = Strokes.arrow(p, start, end, this.model.styles[this.model.style[w]].width);
      Strokes.trace(c, p, start, end, head.x, head.y);
      return;
    }
    c.moveTo(p[start], p[start + 1]);
    for (let i = start + 2; i < end; i += 2) c.lineTo(p[i], p[i + 1]);
  }

  stroke(c, view, style, many) {
    const { color, width, dash } = this.model.styles[style];
    c.strokeStyle = this.ink(view, color);
    c.lineWidth = Math.max(width, (many ? 0.6 : 0.9) / view.view.k);
    c.setLineDash(many ? [] : dash);
    c.stroke();
    c.setLineDash([]);
  }

  ink(view, color) { return this.share < 1 ? view.pale(color, this.share) : view.color(color); }

  drawTips(c, view, wires) {
    const { model } = this;
    for (const w of wires) {
      const { color, width } = model.styles[model.style[w]];
      const [start, end] = [2 * model.starts[w], 2 * model.starts[w + 1]];
      const [ax, ay, bx, by, cx, cy] = Strokes.arrow(this.g.points, start, end, width).tip;
      c.fillStyle = this.ink(view, color);
      c.beginPath();
      c.moveTo(ax, ay);
      c.lineTo(bx, by);
      c.lineTo(cx, cy);
      c.fill();
    }
  }

  // A line in the colour of the mark over each wire that has one; a pass that is played leaves
  // wires as they are.
  drawMarked(c, view, wires, marks) {
    for (const w of wires) {
      const color = view.outline(marks[w] & ~NOW, view.look);
      if (!color) continue;
      c.beginPath();
      this.trace(c, view, w, true);
      c.strokeStyle = color;
      c.lineWidth = Math.max(this.model.styles[this.model.style[w]].width + 1, 2 / view.view.k);
      c.stroke();
    }
  }

  words(c, view, wires, [x0, y0, x1, y1]) {
    const { model, g } = this;
    const write = (w, word, at, below, size, bold, color) => {
      const [x, y] = [at[2 * w], at[2 * w + 1] + below];
      if (word < 0 || !(x > x0 && x < x1 && y > y0 && y < y1)) return;
      c.globalAlpha = view.marks.wire[w] & (DIM | PALE) ? 0.2 : view.marks.wire[w] & ASIDE ? STANDING_BACK : 1;
      c.strokeStyle = view.look.paper;
      c.lineWidth = 3;
      c.font = `${bold ? 'bold ' : ''}${size}px Helvetica, Arial, "DejaVu Sans", sans-serif`;
      c.textAlign = 'center';
      c.strokeText(model.word(word), x, y);
      view.text(model.word(word), x, y, size, color, 'center', bold);
    };
    for (const list of [wires, this.spatial.long]) {
      for (const w of list) {
        const color = view.color(model.styles[model.style[w]].color);
        write(w, model.wireLabel[w], g.labelAt, 0, 10, false, model.backward[w] ? view.look.back : color);
        write(w, model.wireMark[w], g.markAt, 5, 15, true, view.look.ink);
      }
    }
    c.globalAlpha = 1;
  }
}
