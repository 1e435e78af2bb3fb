'use strict';
// All paths between two boxes: which boxes and edges lie on one, how many there are (exact), and
// the strongest, by the product of the norms of its edges' Jacobians: the most that it can carry.
// Dynamic programming along the order; nothing is enumerated. Above the order.

class Paths {
  // Edges side by side between the same two boxes make paths of their own.
  constructor(order, from, to) {
    this.order = order;
    this.from = from;
    this.to = to;
    this.region();
    this.count = this.on[from] && this.on[to] ? this.countPaths() : 0n;
    this.strongest = this.count ? this.findStrongest() : null;
  }

  // Boxes that `from` leads to and that lead to `to`; and the edges between such boxes.
  region() {
    const { order } = this;
    const { model } = order;
    const after = this.reach(this.from, (i) => order.leaving(i), (e) => order.target(e));
    const before = this.reach(this.to, (i) => order.entering(i), (e) => order.source(e));
    this.on = new Uint8Array(model.count);
    this.boxes = [];
    for (const i of order.order) {
      if (after[i] && before[i]) {
        this.on[i] = 1;
        this.boxes.push(i);
      }
    }
    this.onEdge = new Uint8Array(model.edgeCount);
    this.edges = 0;
    this.unmeasured = 0; // edges without a norm: paths along them have no product
    for (const i of this.boxes) {
      for (const e of order.leaving(i)) {
        if (this.on[order.target(e)]) {
          this.onEdge[e] = 1;
          this.edges += 1;
          this.unmeasured += Number(!this.isMeasured(e));
        }
      }
    }
  }

  reach(start, edges, end) {
    const seen = new Uint8Array(this.order.n);
    const stack = [start];
    seen[start] = 1;
    while (stack.length) {
      for (const e of edges(stack.pop())) {
        if (!seen[end(e)]) {
          seen[end(e)] = 1;
          stack.push(end(e));
        }
      }
    }
    return seen;
  }

  countPaths() {
    const { order } = this;
    const ways = new Map([[this.from, 1n]]);
    for (const i of this.boxes) {
      let sum = ways.get(i) || 0n;
      for (const e of order.entering(i)) if (this.onEdge[e]) sum += ways.get(order.source(e));
      ways.set(i, sum);
    }
    return ways.get(this.to);
  }

  isMeasured(e) {
    const norms = this.order.model.edgeJacobian;
    return norms !== null && norms[e] !== null && !Number.isNaN(norms[e]);
  }

  // The path of the largest product, kept as its logarithm; null where no path has all its norms.
  findStrongest() {
    const { order } = this;
    const norms = order.model.edgeJacobian;
    if (!norms || this.from === this.to) return null;
    const best = new Map([[this.from, 0]]);
    const by = new Map();
    for (const i of this.boxes) {
      for (const e of order.entering(i)) {
        const j = order.source(e);
        if (!this.onEdge[e] || !best.has(j) || !this.isMeasured(e)) continue;
        const log = best.get(j) + Math.log10(norms[e]);
        if (!best.has(i) || log > best.get(i)) {
          best.set(i, log);
          by.set(i, e);
        }
      }
    }
    if (!best.has(this.to)) return null;
    const edges = [];
    for (let i = this.to; i !== this.from; i = order.source(edges[edges.length - 1])) {
      edges.push(by.get(i));
    }
    edges.reverse();
    const boxes = [this.from, ...edges.map((e) => order.target(e))];
    return { log: best.get(this.to), edges, boxes, norms: edges.map((e) => norms[e]) };
  }

  // A product as people read it, also where it is too small or large for a float.
  static product(log, digits = 6) {
    if (log === -Infinity) return '0';
    if (log === Infinity) return 'inf';
    if (Math.abs(log) < 300) return String(Number((10 ** log).toPrecision(digits))).replaceAll('-', '−');
    const power = Math.floor(log);
    return `${(10 ** (log - power)).toFixed(digits - 1)}e${power}`.replaceAll('-', '−');
  }

  // Factors and their product, with as many digits as it takes for the printed ones to multiply to
  // the printed product. Of many those in the middle are one.
  static equation(norms, most = 12) {
    const logs = norms.map((norm) => [Math.log10(norm)]);
    const head = logs.length > most ? most >> 1 : 0;
    const groups = head ? [...logs.slice(0, head), logs.slice(head, head - most + 1).flat(),
      ...logs.slice(head - most + 1)] : logs;
    const sums = groups.map((own) => own.reduce((sum, log) => sum + log, 0));
    const product = Paths.product(sums.reduce((sum, log) => sum + log, 0), 3);
    for (let digits = 3; ; digits += 1) {
      const texts = sums.map((log) => Paths.product(log, digits));
      const printed = texts.reduce((sum, text) => sum + Paths.read(text), 0);
      if (Paths.product(printed, 3) === product || digits === 17) {
        return { product,
          factors: texts.map((text, k) => (groups[k].length > 1 ? `(${groups[k].length} edges: ${text})` : text)) };
      }
    }
  }

  // The logarithm of a printed number.
  static read(text) {
    const [head, power] = text.replaceAll('−', '-').split('e');
    return Math.log10(Number(head)) + Number(power || 0);
  }

  // The count with its thousands apart; long ones shortened to digits and a power of ten.
  static number(count) {
    const digits = count.toString();
    if (digits.length <= 30) return count.toLocaleString('en-US');
    return `${digits[0]}.${digits.slice(1, 4)}…e${digits.length - 1}`;
  }
}
