'use strict';
// The picture as the very SVG that was written: found again element by element, moved where
// something is folded, given classes where something is marked. What is dimmed lies in a group that
// is pale as a whole, so that lines on top of each other do not add up. Above marks and strokes.

const SVG_NAME = 'http://www.w3.org/2000/svg';
const CLASSES = [[DIM, 'dim'], [HIT, 'hit'], [ON, 'on'], [NOW, 'now'], [PICKED, 'picked'],
  [BACK, 'back']];
const LAYERS = ['under', 'aside', 'over']; // of wires: dimmed, of the other pass, all others

class SvgView {
  constructor(host, model) {
    this.model = model;
    this.svg = host.querySelector('svg');
    this.find();
    this.wrap();
    this.layer();
    this.growth = new GrowthBars(new Growth(model), this.boxes);
    this.world.append(this.growth.group);
    this.moved = false;
    this.boxMarks = new Uint8Array(model.count);
    this.wireMarks = new Uint8Array(model.wireCount);
  }

  find() {
    const { svg, model } = this;
    const all = (selector) => [...svg.querySelectorAll(selector)];
    const byKey = new Map(all('g.node').map((g) => [g.dataset.id, g]));
    this.boxes = model.key.map((key) => byKey.get(String(key)));
    this.wires = all('g.edge').map((g) => {
      const [line, tip] = g.querySelectorAll('path');
      return { g, line, tip };
    });
    for (const title of all('g.node > title, g.edge > title')) title.remove(); // the card tells it
    const labels = all('.wire-label');
    const marks = all('.wire-mark');
    this.labels = Array.from(model.wireLabel, (word) => (word >= 0 ? labels.shift() : null));
    this.marks = Array.from(model.wireMark, (word) => (word >= 0 ? marks.shift() : null));
    const rects = all('rect.step');
    const headings = all('text.heading');
    this.bands = rects.map((rect, i) => ({ rect, heading: headings[i] }))
      .sort((p, q) => p.rect.getAttribute('x') - q.rect.getAttribute('x'));
    this.shapes = all('.chart');
  }

  // Everything into one group that the camera moves.
  wrap() {
    const { svg } = this;
    this.world = document.createElementNS(SVG_NAME, 'g');
    this.world.append(...svg.childNodes);
    svg.append(this.world);
    svg.removeAttribute('viewBox');
    svg.setAttribute('width', '100%');
    svg.setAttribute('height', '100%');
    this.folds = document.createElementNS(SVG_NAME, 'g');
    const first = this.world.querySelector('g.node');
    if (first) first.before(this.folds); else this.world.append(this.folds);
  }

  // The groups of wires, one over the other; each keeps the order of the picture.
  layer() {
    this.layers = LAYERS.map((name) => document.createElementNS(SVG_NAME, 'g'));
    this.layers.forEach((group, k) => group.classList.add(LAYERS[k]));
    this.layerOf = new Uint8Array(this.wires.length).fill(2);
    if (!this.wires.length) return;
    this.wires[0].g.before(...this.layers);
    this.layers[2].append(...this.wires.map(({ g }) => g));
  }

  // From the last wire to the first, so that the one that follows it in its group is known.
  sort(marks) {
    const next = [null, null, null];
    for (let w = this.wires.length - 1; w >= 0; w -= 1) {
      const own = marks.wire[w] & DIM ? 0 : marks.wire[w] & ASIDE ? 1 : 2;
      const { g } = this.wires[w];
      if (own !== this.layerOf[w]) this.layers[own].insertBefore(g, next[own]);
      this.layerOf[w] = own;
      next[own] = g;
    }
  }

  camera({ x, y, k }) {
    this.world.setAttribute('transform', `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${k})`);
  }

  resize() {}

  theme() {}

  layout(g) {
    this.g = g;
    if (!g.plain || this.moved) {
      this.moveBoxes(g);
      this.moveWires(g);
      this.moveBands(g);
      this.moveShapes(g);
    }
    this.moved = !g.plain;
    this.folds.replaceChildren(...g.gaps.flatMap((gap) => this.gap(gap, true)),
      ...g.seams.flatMap((seam) => this.gap(seam, false)));
  }

  moveBoxes(g) {
    const { rect } = this.model;
    this.boxes.forEach((box, i) => {
      const dx = g.rect[4 * i] - rect[4 * i];
      const dy = g.rect[4 * i + 1] - rect[4 * i + 1];
      if (dx || dy) box.setAttribute('transform', `translate(${dx.toFixed(2)} ${dy.toFixed(2)})`);
      else box.removeAttribute('transform');
      box.classList.toggle('gone', Boolean(g.boxHidden[i]));
    });
  }

  moveWires(g) {
    const { model } = this;
    this.wires.forEach(({ g: group, line, tip }, w) => {
      const gone = Boolean(g.wireHidden[w]);
      group.classList.toggle('gone', gone);
      const [start, end] = [2 * model.starts[w], 2 * model.starts[w + 1]];
      if (!gone) {
        const head = Strokes.arrow(g.points, start, end, model.styles[model.style[w]].width);
        const path = new PathText();
        Strokes.trace(path, g.points, start, end, head.x, head.y);
        line.setAttribute('d', path.text);
        const [ax, ay, bx, by, cx, cy] = head.tip.map(PathText.number);
        tip.setAttribute('d', `M${ax} ${ay}L${bx} ${by}L${cx} ${cy}Z`);
      }
      this.moveWords(this.labels[w], g.labelAt, w, 0, gone);
      this.moveWords(this.marks[w], g.markAt, w, 5, gone);
    });
  }

  moveWords(text, at, w, below, gone) {
    if (!text) return;
    const away = gone || Number.isNaN(at[2 * w]);
    text.classList.toggle('gone', away);
    if (away) return;
    text.setAttribute('x', at[2 * w].toFixed(2));
    text.setAttribute('y', (at[2 * w + 1] + below).toFixed(2));
  }

  moveBands(g) {
    this.bands.forEach(({ rect, heading }, i) => {
      const band = g.bands[i];
      rect.classList.toggle('gone', band.hidden);
      heading.classList.toggle('gone', band.hidden);
      for (const [name, v] of [['x', band.x], ['y', band.y], ['width', band.w],
        ['height', band.h]]) rect.setAttribute(name, v.toFixed(2));
      heading.setAttribute('x', (band.x + band.w / 2).toFixed(2));
      heading.setAttribute('y', (band.y + 14).toFixed(2));
    });
  }

  // Charts keep to the time axis of the columns.
  moveShapes(g) {
    this.model.data.shapes.forEach((shape, i) => {
      const own = this.shapes[i];
      if (!own) return;
      own.classList.toggle('gone', Layout.hidden(shape, g));
      const set = (name, v) => own.setAttribute(name, v);
      if (shape[0] === 'rect') {
        const [x, y, w, h] = Layout.rect(shape, g);
        for (const [name, v] of [['x', x], ['y', y], ['width', w], ['height', h]]) {
          set(name, v.toFixed(2));
        }
      } else if (shape[0] === 'line') {
        const path = new PathText();
        Layout.points(shape, g).forEach(([x, y], k) => (k ? path.lineTo(x, y) : path.moveTo(x, y)));
        set('d', path.text + (shape[5] >= 0 ? 'Z' : ''));
      } else {
        const [x, y] = [g.x.map(shape[1]).toFixed(2), g.y.map(shape[2]).toFixed(2)];
        set('x', x);
        set('y', y);
        if (shape[8]) set('transform', `rotate(${shape[8]} ${x} ${y})`);
      }
    });
  }

  // A column or row that stands for what is folded.
  gap({ x, y, w, h, text }, upright) {
    const make = (name, attributes, words = '') => {
      const element = document.createElementNS(SVG_NAME, name);
      for (const [key, v] of Object.entries(attributes)) element.setAttribute(key, v);
      element.textContent = words;
      return element;
    };
    const middle = `${(x + w / 2).toFixed(2)} ${(y + h / 2).toFixed(2)}`;
    const place = middle.split(' ');
    return [
      make('rect', { class: 'fold', x: x + 2, y, width: Math.max(w - 4, 1), height: h, rx: 6 }),
      make('text', { class: 'fold-name', x: place[0], y: upright ? y + 15 : Number(place[1]) + 4 },
        text),
    ];
  }

  paint(marks, play) {
    this.sort(marks);
    this.growth.draw(this.g, play);
    this.boxes.forEach((box, i) => this.dress(box, marks.box[i], this.boxMarks, i));
    this.wires.forEach(({ g }, w) => {
      if (marks.wire[w] === this.wireMarks[w]) return;
      for (const text of [this.labels[w], this.marks[w]]) {
        if (text) text.classList.toggle('dim', Boolean(marks.wire[w] & DIM));
        if (text) text.classList.toggle('aside', Boolean(marks.wire[w] & ASIDE));
      }
      this.dress(g, marks.wire[w], this.wireMarks, w);
    });
  }

  dress(element, mark, before, i) {
    if (mark === before[i]) return;
    for (const [bit, name] of CLASSES) {
      if ((mark ^ before[i]) & bit) element.classList.toggle(name, Boolean(mark & bit));
    }
    before[i] = mark;
  }
}

// Where the pieces of charts are once something is folded.
const Layout = {
  hidden(shape, g) {
    const box = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
    if (shape[0] === 'words') return g.x.inside(shape[1]) >= 0 || g.y.inside(shape[2]) >= 0;
    Shapes.corners(shape, (x, y) => {
      box.x0 = Math.min(box.x0, x);
      box.x1 = Math.max(box.x1, x);
      box.y0 = Math.min(box.y0, y);
      box.y1 = Math.max(box.y1, y);
    });
    return g.x.hides(box.x0, box.x1) || g.y.hides(box.y0, box.y1);
  },

  rect([, x, y, w, h], g) {
    const [a, b] = [g.x.map(x), g.y.map(y)];
    return [a, b, g.x.map(x + w) - a, g.y.map(y + h) - b];
  },

  points([, flat], g) {
    const found = [];
    for (let i = 0; i < flat.length; i += 2) found.push([g.x.map(flat[i]), g.y.map(flat[i + 1])]);
    return found;
  },
};
