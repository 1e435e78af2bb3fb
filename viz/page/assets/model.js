'use strict';
// The drawing as the page was given it: typed arrays for geometry, a table for words.
// Below everything. Boxes, wires and edges are known by their position.

const Pack = {
  bytes(text) {
    const raw = atob(text);
    const out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i += 1) out[i] = raw.charCodeAt(i);
    return out.buffer;
  },
  floats: (text) => new Float32Array(Pack.bytes(text)),
  doubles: (text) => new Float64Array(Pack.bytes(text)),
  ints: (text) => new Int32Array(Pack.bytes(text)),
};

class Model {
  constructor(data) {
    this.data = data;
    this.words = data.words;
    this.colors = data.colors;
    this.readBoxes(data.boxes, data.nodes);
    this.readEdges(data.edges);
    this.readWires(data.wires);
    this.bands = data.bands.map(([x, y, w, h, heading, shaded]) => (
      { x, y, w, h, heading: this.word(heading), shaded: Boolean(shaded) }));
    this.bands.sort((p, q) => p.x - q.x);
    this.norms = data.norms.map(([name, times, norms]) => (
      { name: this.word(name), times: Pack.ints(times), norms: Pack.doubles(norms) }));
    this.findTimes();
    this.bounds = this.findBounds();
  }

  word(position) { return position < 0 ? '' : this.words[position]; }

  readBoxes(boxes, nodes) {
    this.count = boxes.key.length;
    this.rect = Pack.floats(boxes.rect); // x, y, width, height
    this.boxKind = Pack.ints(boxes.kind);
    this.fill = Pack.ints(boxes.fill);
    this.stroke = Pack.ints(boxes.stroke);
    this.mark = Pack.ints(boxes.mark);
    this.lines = boxes.lines;
    this.boxPale = new Uint8Array(this.count); // drawn pale from the outset
    for (const i of boxes.dim) this.boxPale[i] = 1;
    this.key = boxes.key;
    this.columns = {};
    for (const name of ['label', 'full', 'op', 'direction', 'cell', 'role', 'dtype', 'path',
      'kind', 'shape', 'layer']) this.columns[name] = Pack.ints(nodes[name]);
    this.nodes = nodes;
  }

  // What is known of a box under one name: words as text, numbers as they are, null for nothing.
  node(i, name) {
    const column = this.columns[name];
    if (column) return this.word(column[i]);
    const value = this.nodes[name] ? this.nodes[name][i] : null;
    if (value === null || value === undefined) return null;
    return typeof value === 'string' ? Number(value) : value;
  }

  label(i) {
    return this.node(i, 'label') || this.word(this.lines[i].length ? this.lines[i][0] : -1)
      || `box ${this.key[i]}`;
  }

  full(i) { return this.node(i, 'full') || this.label(i); }

  readEdges(edges) {
    this.edgeEnds = Pack.ints(edges.ends);
    this.edgeCount = this.edgeEnds.length / 2;
    this.edgeKind = Pack.ints(edges.kind);
    this.edgeLabel = Pack.ints(edges.label);
    this.dt = edges.dt;
    this.cut = new Set(edges.cut);
    const numbers = (list) => (list ? list.map((v) => (v === null ? null : Number(v))) : null);
    this.edgeNorm = numbers(edges.grad_norm);
    this.edgeJacobian = numbers(edges.jacobian_norm);
  }

  readWires(wires) {
    this.wireEnds = Pack.ints(wires.ends);
    this.wireCount = this.wireEnds.length / 2;
    this.starts = Pack.ints(wires.starts);
    this.points = Pack.floats(wires.points);
    this.style = Pack.ints(wires.style);
    this.styles = wires.styles.map(([color, width, dash]) => (
      { color, width, dash: dash ? dash.split(/[ ,]+/).map(Number) : [] }));
    this.wireKind = Pack.ints(wires.kind);
    this.wireEdge = Pack.ints(wires.edge);
    this.wireLabel = Pack.ints(wires.label);
    this.labelAt = Pack.floats(wires.at);
    this.wireMark = Pack.ints(wires.mark);
    this.markAt = Pack.floats(wires.mark_at);
    this.wireTitle = Pack.ints(wires.title);
    this.wirePale = new Uint8Array(this.wireCount);
    for (const w of wires.dim) this.wirePale[w] = 1;
    this.backward = new Uint8Array(this.wireCount);
    for (let w = 0; w < this.wireCount; w += 1) {
      this.backward[w] = Number(this.word(this.wireKind[w]) === 'backward');
    }
    this.toWeight = this.backward.map((back, w) => Number(back && this.wireEdge[w] >= 0
      && this.word(this.edgeKind[this.wireEdge[w]]) === 'parameter'));
  }

  centre(i) {
    const r = this.rect;
    return [r[4 * i] + r[4 * i + 2] / 2, r[4 * i + 1] + r[4 * i + 3] / 2];
  }

  // The column of a box by where it stands: -1 before all, the number of columns after all.
  columnAt(x) {
    let low = 0;
    let high = this.bands.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.bands[middle].x <= x) low = middle + 1; else high = middle;
    }
    const last = this.bands[this.bands.length - 1];
    return last && x > last.x + last.w ? this.bands.length : low - 1;
  }

  // Which step each column shows, and how many steps it stands for.
  findTimes() {
    this.column = new Int32Array(this.count);
    for (const band of this.bands) band.t = null;
    for (let i = 0; i < this.count; i += 1) {
      const at = this.columnAt(this.centre(i)[0]);
      const t = this.node(i, 't');
      this.column[i] = at;
      const band = this.bands[at];
      if (band && t !== null) band.t = t;
    }
    this.bands.forEach((band, i) => {
      const before = this.bands[i - 1];
      const after = this.bands.slice(i + 1, i + 2)[0];
      const known = before && after && before.t !== null && after.t !== null;
      band.steps = band.t !== null ? 1 : Math.max(known ? after.t - before.t - 1 : 0, 0);
    });
  }

  // The smallest rectangle that holds all that is drawn.
  findBounds() {
    const box = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
    const add = (x, y) => {
      if (x < box.x0) box.x0 = x;
      if (x > box.x1) box.x1 = x;
      if (y < box.y0) box.y0 = y;
      if (y > box.y1) box.y1 = y;
    };
    const r = this.rect;
    for (let i = 0; i < r.length; i += 4) {
      add(r[i], r[i + 1]);
      add(r[i] + r[i + 2], r[i + 1] + r[i + 3]);
    }
    const p = this.points;
    for (let i = 0; i < p.length; i += 2) add(p[i], p[i + 1]);
    for (const b of this.bands) { add(b.x, b.y); add(b.x + b.w, b.y + b.h); }
    for (const shape of this.data.shapes) Shapes.corners(shape, add);
    if (box.x0 > box.x1) return { x0: 0, y0: 0, x1: this.data.width, y1: this.data.height };
    return box;
  }
}

// Pieces of charts, as lists that begin with what they are.
const Shapes = {
  corners(shape, add) {
    if (shape[0] === 'rect') {
      add(shape[1], shape[2]);
      add(shape[1] + shape[3], shape[2] + shape[4]);
    } else if (shape[0] === 'line') {
      for (let i = 0; i < shape[1].length; i += 2) add(shape[1][i], shape[1][i + 1]);
    } else {
      add(shape[1], shape[2] - shape[4]);
      add(shape[1], shape[2] + 4);
    }
  },
};

// Numbers as people read them.
const Say = {
  norm(value) {
    if (Number.isNaN(value)) return 'NaN';
    if (!Number.isFinite(value)) return value > 0 ? 'inf' : '−inf';
    return String(Number(value.toPrecision(6))).replaceAll('-', '−');
  },
  // Three digits, for where there is little room.
  short(value) {
    if (!Number.isFinite(value) || value === 0) return Say.norm(value);
    const power = Math.floor(Math.log10(Math.abs(value)));
    if (power >= -3 && power < 5) return String(Number(value.toPrecision(3))).replaceAll('-', '−');
    const [digits, exponent] = value.toExponential(2).split('e');
    return `${Number(digits)}×${Say.power(Number(exponent))}`.replaceAll('-', '−');
  },
  // A power of ten.
  power(n) {
    if (n === 0 || n === 1) return n ? '10' : '1';
    return `10${String(n).replace('-', '⁻').replace(/\d/g, (d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[d])}`;
  },
  count: (value) => value.toLocaleString('en-US'),
  some: (n, one, many = `${one}s`) => `${Say.count(n)} ${n === 1 ? one : many}`,
};
