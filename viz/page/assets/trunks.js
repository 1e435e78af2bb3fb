'use strict';
// The long wires of a large picture as straight stretches. Many run along the same line, such as the
// lane of a parameter that every step reads: what thicker ones hide is dropped, so that drawing
// costs what can be seen and not what was recorded. Below the canvas.

class Trunks {
  constructor(model, g, spatial) {
    this.model = model;
    const lines = new Map(); // direction and place -> stretches along it, in drawing order
    for (const w of spatial.long) {
      for (let i = 2 * model.starts[w]; i < 2 * model.starts[w + 1] - 2; i += 2) {
        this.collect(lines, g.points, i, w);
      }
    }
    this.kept = [];
    for (const own of lines.values()) this.prune(own);
    this.kept.sort((p, q) => p.style - q.style);
    this.pack();
  }

  collect(lines, p, i, w) {
    const [ax, ay, bx, by] = [p[i], p[i + 1], p[i + 2], p[i + 3]];
    const flat = Math.abs(ay - by) < 0.01;
    const upright = Math.abs(ax - bx) < 0.01;
    const style = this.model.style[w];
    if (!flat && !upright) {
      lines.set(`${w}/${i}`, [{ ax, ay, bx, by, style, low: 0, high: 0, wire: w }]);
      return;
    }
    const key = flat ? `h${Math.round(ay * 10)}` : `v${Math.round(ax * 10)}`;
    const [low, high] = flat ? [Math.min(ax, bx), Math.max(ax, bx)]
      : [Math.min(ay, by), Math.max(ay, by)];
    const own = lines.get(key);
    const stretch = { ax, ay, bx, by, style, low, high, wire: w };
    if (own) own.push(stretch); else lines.set(key, [stretch]);
  }

  // From the top one down: keep what is not covered yet.
  prune(own) {
    const covered = []; // [low, high], apart and in order
    for (let k = own.length - 1; k >= 0; k -= 1) {
      const { low, high } = own[k];
      let a = 0;
      let b = covered.length;
      while (a < b) {
        const middle = (a + b) >> 1;
        if (covered[middle][1] < low) a = middle + 1; else b = middle;
      }
      if (!covered[a] || covered[a][0] > low || covered[a][1] < high || own.length === 1) {
        this.kept.push(own[k]);
        let end = a;
        const joined = [low, high];
        while (covered[end] && covered[end][0] <= high) {
          joined[0] = Math.min(joined[0], covered[end][0]);
          joined[1] = Math.max(joined[1], covered[end][1]);
          end += 1;
        }
        covered.splice(a, end - a, joined);
      }
    }
  }

  pack() {
    this.count = this.kept.length;
    this.length = new Float32Array(this.count);
    this.at = new Float32Array(4 * this.count);
    this.style = new Int32Array(this.count);
    this.backward = new Uint8Array(this.count);
    this.kept.forEach((own, k) => {
      this.at.set([own.ax, own.ay, own.bx, own.by], 4 * k);
      this.style[k] = own.style;
      this.backward[k] = this.model.backward[own.wire];
      this.length[k] = Math.abs(own.ax - own.bx) + Math.abs(own.ay - own.by);
    });
    this.kept = null;
  }

  // Visit the stretches in a rectangle that are longer than `least`, in drawing order.
  within(x0, y0, x1, y1, least, visit) {
    const { at, length } = this;
    for (let k = 0; k < this.count; k += 1) {
      if (length[k] < least) continue;
      const [ax, ay, bx, by] = [at[4 * k], at[4 * k + 1], at[4 * k + 2], at[4 * k + 3]];
      if ((ax > x0 || bx > x0) && (ax < x1 || bx < x1)
        && (ay > y0 || by > y0) && (ay < y1 || by < y1)) visit(k);
    }
  }
}
