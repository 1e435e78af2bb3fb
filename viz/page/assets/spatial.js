'use strict';
// What lies where: a grid over the picture that names the boxes and wires in each field, for
// culling and for hit tests. Wires that cross many fields are kept apart. Below the views.

const FIELDS = 40000; // at most about this many
const LONG = 24; // fields that a wire may cross before it is kept apart,
const FAR = 5; // and fields in one direction

class Spatial {
  constructor(model, g) {
    this.model = model;
    this.g = g;
    const { x0, y0, x1, y1 } = g.bounds;
    this.x0 = x0;
    this.y0 = y0;
    this.side = Math.max(160, Math.sqrt(((x1 - x0 + 1) * (y1 - y0 + 1)) / FIELDS));
    this.across = Math.max(1, Math.ceil((x1 - x0 + 1) / this.side));
    this.down = Math.max(1, Math.ceil((y1 - y0 + 1) / this.side));
    this.measureWires();
    this.fill();
    this.stamp = new Int32Array(model.count + model.wireCount);
    this.round = 0;
  }

  measureWires() {
    const { model, g } = this;
    this.extent = new Float32Array(4 * model.wireCount);
    const long = [];
    for (let w = 0; w < model.wireCount; w += 1) {
      let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
      for (let i = 2 * model.starts[w]; i < 2 * model.starts[w + 1]; i += 2) {
        if (g.points[i] < x0) x0 = g.points[i];
        if (g.points[i] > x1) x1 = g.points[i];
        if (g.points[i + 1] < y0) y0 = g.points[i + 1];
        if (g.points[i + 1] > y1) y1 = g.points[i + 1];
      }
      this.extent.set([x0, y0, x1, y1], 4 * w);
      if (g.wireHidden[w]) continue;
      const [a, b, c, d] = this.fields(x0, y0, x1, y1);
      const [wide, high] = [c - a + 1, d - b + 1];
      if (g.wireEnters[w] || wide * high > LONG || wide > FAR || high > FAR) long.push(w);
    }
    this.long = Int32Array.from(long);
    this.isLong = new Uint8Array(model.wireCount);
    for (const w of long) this.isLong[w] = 1;
  }

  // The fields that a rectangle covers: first and last column and row.
  fields(x0, y0, x1, y1) {
    const at = (v, low, most) => Math.min(Math.max(Math.floor((v - low) / this.side), 0), most - 1);
    return [at(x0, this.x0, this.across), at(y0, this.y0, this.down),
      at(x1, this.x0, this.across), at(y1, this.y0, this.down)];
  }

  // Count, then place: one list for all fields, and where each begins in it.
  fill() {
    const counts = new Int32Array(this.across * this.down + 1);
    this.each((field) => { counts[field + 1] += 1; });
    for (let i = 1; i < counts.length; i += 1) counts[i] += counts[i - 1];
    this.first = counts;
    const next = counts.slice();
    this.items = new Int32Array(counts[counts.length - 1]);
    this.each((field, item) => {
      this.items[next[field]] = item;
      next[field] += 1;
    });
  }

  each(visit) {
    const { model, g, extent } = this;
    const spread = (item, x0, y0, x1, y1) => {
      const [a, b, c, d] = this.fields(x0, y0, x1, y1);
      for (let row = b; row <= d; row += 1) {
        for (let column = a; column <= c; column += 1) visit(row * this.across + column, item);
      }
    };
    for (let i = 0; i < model.count; i += 1) {
      const [x, y, w, h] = g.rect.subarray(4 * i, 4 * i + 4);
      if (!g.boxHidden[i]) spread(i, x, y, x + w, y + h);
    }
    for (let w = 0; w < model.wireCount; w += 1) {
      if (!g.wireHidden[w] && !this.isLong[w]) {
        spread(model.count + w, ...extent.subarray(4 * w, 4 * w + 4));
      }
    }
  }

  // The boxes and the short wires in a rectangle, each once, as [boxes, wires].
  within(x0, y0, x1, y1) {
    const boxes = [];
    const wires = [];
    const { count } = this.model;
    const [a, b, c, d] = this.fields(x0, y0, x1, y1);
    this.round += 1;
    for (let row = b; row <= d; row += 1) {
      const line = row * this.across;
      for (let k = this.first[line + a]; k < this.first[line + c + 1]; k += 1) {
        const item = this.items[k];
        if (this.stamp[item] !== this.round) {
          this.stamp[item] = this.round;
          if (item < count) boxes.push(item); else wires.push(item - count);
        }
      }
    }
    return [boxes, wires];
  }

  // The box at a place, else the nearest wire within reach, else null.
  at(x, y, reach) {
    const [boxes, wires] = this.within(x - reach, y - reach, x + reach, y + reach);
    const { rect } = this.g;
    for (const i of boxes.reverse()) {
      if (x >= rect[4 * i] && x <= rect[4 * i] + rect[4 * i + 2]
        && y >= rect[4 * i + 1] && y <= rect[4 * i + 1] + rect[4 * i + 3]) return { box: i };
    }
    let best = null;
    let least = reach;
    const consider = (w) => {
      const e = this.extent;
      if (x < e[4 * w] - reach || x > e[4 * w + 2] + reach
        || y < e[4 * w + 1] - reach || y > e[4 * w + 3] + reach) return;
      const away = this.distance(w, x, y);
      if (away <= least) { least = away; best = w; }
    };
    wires.forEach(consider);
    this.long.forEach(consider);
    return best === null ? null : { wire: best };
  }

  distance(w, x, y) {
    const { starts } = this.model;
    const p = this.g.points;
    let least = Infinity;
    for (let i = 2 * starts[w]; i < 2 * starts[w + 1] - 2; i += 2) {
      const [dx, dy] = [p[i + 2] - p[i], p[i + 3] - p[i + 1]];
      const square = dx * dx + dy * dy;
      const share = square ? ((x - p[i]) * dx + (y - p[i + 1]) * dy) / square : 0;
      const s = Math.min(Math.max(share, 0), 1);
      least = Math.min(least, Math.hypot(p[i] + s * dx - x, p[i + 1] + s * dy - y));
    }
    return least;
  }
}
