'use strict';
// Which steps and layers are folded, and the picture's geometry once they are. Columns squeeze x,
// layers squeeze y; what lies inside is hidden, wires that cross follow the map. Above axes.

const GAP = 80; // the width of folded steps, in pixels of the picture
const SEAM = 26; // the height of a folded layer

class Folding {
  constructor(model) {
    this.model = model;
    this.steps = []; // [first column, last column], apart and in order
    this.layers = new Map(); // name -> whether it is folded
    this.extents = this.findLayers();
    for (const name of this.extents.keys()) this.layers.set(name, false);
  }

  // From the top of a layer's boxes to their bottom; `clear` where no other layer is in between.
  findLayers() {
    const { model } = this;
    const found = new Map();
    for (let i = 0; i < model.count; i += 1) {
      const name = model.node(i, 'layer');
      if (name === '') continue;
      const top = model.rect[4 * i + 1];
      const bottom = top + model.rect[4 * i + 3];
      const own = found.get(name) || { top, bottom, boxes: 0, clear: true };
      own.top = Math.min(own.top, top);
      own.bottom = Math.max(own.bottom, bottom);
      own.boxes += 1;
      found.set(name, own);
    }
    const order = [...found].sort((p, q) => Number(p[0]) - Number(q[0]));
    for (const [a, one] of order) {
      for (const [b, other] of order) {
        if (a !== b && one.top < other.bottom && other.top < one.bottom) one.clear = false;
      }
    }
    return new Map(order);
  }

  foldSteps(from, to) {
    const pair = [Math.min(from, to), Math.max(from, to)];
    const rest = [];
    for (const own of this.steps) {
      if (own[1] < pair[0] - 1 || own[0] > pair[1] + 1) rest.push(own);
      else {
        pair[0] = Math.min(pair[0], own[0]);
        pair[1] = Math.max(pair[1], own[1]);
      }
    }
    this.steps = [...rest, pair].sort((p, q) => p[0] - q[0]);
  }

  unfoldSteps(column) {
    this.steps = this.steps.filter((own) => column < own[0] || column > own[1]);
  }

  unfoldAll() {
    this.steps = [];
    for (const name of this.layers.keys()) this.layers.set(name, false);
  }

  get any() { return this.steps.length > 0 || [...this.layers.values()].some(Boolean); }

  // Unfold all that hides a box.
  reveal(i) {
    const { model } = this;
    const own = this.steps.find(([a, b]) => model.column[i] >= a && model.column[i] <= b);
    if (own) this.unfoldSteps(own[0]);
    const middle = model.centre(i)[1];
    for (const [name, extent] of this.extents) {
      if (this.layers.get(name) && middle > extent.top && middle < extent.bottom) {
        this.layers.set(name, false);
      }
    }
  }

  // How many steps the columns of a fold stand for.
  stepsIn([from, to]) {
    let steps = 0;
    for (let i = from; i <= to; i += 1) steps += this.model.bands[i].steps;
    return steps;
  }

  axes() {
    const { bands } = this.model;
    const across = this.steps.map(([a, b]) => {
      const start = bands[a].x;
      const end = bands[b].x + bands[b].w;
      return [start, end, Math.min(GAP, end - start)];
    });
    const down = [...this.extents].filter(([name]) => this.layers.get(name))
      .map(([, { top, bottom }]) => [top - 1, bottom + 1, Math.min(SEAM, bottom - top + 2)])
      .sort((p, q) => p[0] - q[0]);
    return [new Axis(across), new Axis(down)];
  }

  // Everything's place on the folded picture.
  geometry() {
    const { model } = this;
    const [x, y] = this.axes();
    const g = { x, y, plain: x.plain && y.plain, rect: new Float32Array(model.rect) };
    g.points = new Float32Array(model.points);
    g.boxHidden = new Uint8Array(model.count);
    g.wireHidden = new Uint8Array(model.wireCount);
    g.wireEnters = new Uint8Array(model.wireCount); // with an end in folded steps, among many others
    g.labelAt = new Float32Array(model.labelAt);
    g.markAt = new Float32Array(model.markAt);
    if (!g.plain) {
      this.placeBoxes(g);
      this.placeWires(g);
    }
    this.placeBands(g);
    const b = model.bounds;
    g.bounds = { x0: x.map(b.x0), y0: y.map(b.y0), x1: x.map(b.x1), y1: y.map(b.y1) };
    return g;
  }

  placeBoxes(g) {
    const { model } = this;
    for (let i = 0; i < model.count; i += 1) {
      const [cx, cy] = model.centre(i);
      g.rect[4 * i] = g.x.map(cx) - model.rect[4 * i + 2] / 2;
      g.rect[4 * i + 1] = g.y.map(cy) - model.rect[4 * i + 3] / 2;
      g.boxHidden[i] = Number(g.x.inside(cx) >= 0 || g.y.inside(cy) >= 0);
    }
  }

  placeWires(g) {
    const { points, starts } = this.model;
    for (let w = 0; w < this.model.wireCount; w += 1) {
      let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
      for (let i = 2 * starts[w]; i < 2 * starts[w + 1]; i += 2) {
        x0 = Math.min(x0, points[i]);
        x1 = Math.max(x1, points[i]);
        y0 = Math.min(y0, points[i + 1]);
        y1 = Math.max(y1, points[i + 1]);
        g.points[i] = g.x.map(points[i]);
        g.points[i + 1] = g.y.map(points[i + 1]);
      }
      g.wireHidden[w] = Number(g.x.hides(x0, x1) || g.y.hides(y0, y1));
      g.wireEnters[w] = Number(g.x.inside(x0) >= 0 || g.x.inside(x1) >= 0);
    }
    for (const at of [g.labelAt, g.markAt]) {
      for (let i = 0; i < at.length; i += 2) {
        const gone = g.x.inside(at[i]) >= 0 || g.y.inside(at[i + 1]) >= 0;
        at[i] = gone ? NaN : g.x.map(at[i]);
        at[i + 1] = g.y.map(at[i + 1]);
      }
    }
  }

  // The columns that are left, and a gap for those that are folded.
  placeBands(g) {
    const { model } = this;
    g.bands = model.bands.map((band, i) => {
      const x = g.x.map(band.x);
      const y = g.y.map(band.y);
      const hidden = g.x.hides(band.x + 1, band.x + band.w - 1);
      return { ...band, index: i, hidden, x, y, w: g.x.map(band.x + band.w) - x,
        h: g.y.map(band.y + band.h) - y };
    });
    g.gaps = this.steps.map((own, k) => {
      const y = g.bands[own[0]].y;
      const steps = this.stepsIn(own);
      return { x: g.x.folded[k], y, w: g.x.sizes[k], h: g.bands[own[0]].h, column: own[0],
        last: own[1], steps, text: `… ${Say.some(steps, 'step')}` };
    });
    g.seams = [...this.extents].filter(([name]) => this.layers.get(name)).map(([name, extent]) => {
      const top = g.y.map(extent.top - 1);
      return { name, y: top, h: g.y.map(extent.bottom + 1) - top, x: g.x.map(model.bounds.x0),
        w: g.x.map(model.bounds.x1) - g.x.map(model.bounds.x0),
        text: `layer ${name}: ${Say.some(extent.boxes, 'box', 'boxes')} folded` };
    });
  }
}
