'use strict';
// The graph of the picture: what feeds what, and an order that runs through time a step after
// another and within a step from below upward. Below paths and the player.

class Order {
  constructor(model) {
    this.model = model;
    this.n = model.count;
    this.choose();
    this.level = this.findLevels();
    this.sort();
    this.place = new Int32Array(this.n);
    this.order.forEach((box, i) => { this.place[box] = i; });
  }

  // Which edges the order keeps to. A picture rolled up over time has circles through it: then only
  // edges within a step count, and of circles within a step those that run forward in the list.
  choose() {
    const { model } = this;
    const ends = model.edgeEnds;
    const loops = model.dt.some((_, e) => ends[2 * e] === ends[2 * e + 1]);
    const tries = [
      (e) => ends[2 * e] !== ends[2 * e + 1],
      (e) => ends[2 * e] !== ends[2 * e + 1] && !model.dt[e],
      (e) => ends[2 * e] < ends[2 * e + 1] && !model.dt[e],
    ];
    for (let k = 0; k < tries.length; k += 1) {
      this.kept = new Uint8Array(model.edgeCount);
      for (let e = 0; e < model.edgeCount; e += 1) this.kept[e] = Number(tries[k](e));
      this.connect();
      this.rounds = loops || k > 0;
      if (this.plainOrder().length === this.n) return;
    }
  }

  // For each box the edges that leave and that enter it, as slices of one list each.
  connect() {
    const ends = this.model.edgeEnds;
    for (const [side, first, list] of [[0, 'outFirst', 'out'], [1, 'inFirst', 'in']]) {
      const firsts = new Int32Array(this.n + 1);
      for (let e = 0; e < this.kept.length; e += 1) {
        if (this.kept[e]) firsts[ends[2 * e + side] + 1] += 1;
      }
      for (let i = 1; i <= this.n; i += 1) firsts[i] += firsts[i - 1];
      const next = firsts.slice();
      const edges = new Int32Array(firsts[this.n]);
      for (let e = 0; e < this.kept.length; e += 1) {
        if (this.kept[e]) {
          edges[next[ends[2 * e + side]]] = e;
          next[ends[2 * e + side]] += 1;
        }
      }
      this[first] = firsts;
      this[list] = edges;
    }
  }

  leaving(i) { return this.out.subarray(this.outFirst[i], this.outFirst[i + 1]); }

  entering(i) { return this.in.subarray(this.inFirst[i], this.inFirst[i + 1]); }

  source(e) { return this.model.edgeEnds[2 * e]; }

  target(e) { return this.model.edgeEnds[2 * e + 1]; }

  waiting() {
    const left = new Int32Array(this.n);
    for (let i = 0; i < this.n; i += 1) left[i] = this.inFirst[i + 1] - this.inFirst[i];
    return left;
  }

  plainOrder() {
    const left = this.waiting();
    const order = [];
    for (let i = 0; i < this.n; i += 1) if (!left[i]) order.push(i);
    for (let k = 0; k < order.length; k += 1) {
      for (const e of this.leaving(order[k])) {
        left[this.target(e)] -= 1;
        if (!left[this.target(e)]) order.push(this.target(e));
      }
    }
    return order;
  }

  // The longest path to each box from within its own column.
  findLevels() {
    const { column } = this.model;
    const level = new Int32Array(this.n);
    for (const i of this.plainOrder()) {
      for (const e of this.leaving(i)) {
        const j = this.target(e);
        if (column[i] === column[j]) level[j] = Math.max(level[j], level[i] + 1);
      }
    }
    return level;
  }

  // Of the boxes that are ready the one of the earliest column, then of the lowest level, is next.
  sort() {
    const { column } = this.model;
    const left = this.waiting();
    const before = (a, b) => column[a] - column[b] || this.level[a] - this.level[b] || a - b;
    const heap = new Heap(before);
    for (let i = 0; i < this.n; i += 1) if (!left[i]) heap.push(i);
    this.order = new Int32Array(this.n);
    for (let k = 0; k < this.n; k += 1) {
      const i = heap.pop();
      this.order[k] = i;
      for (const e of this.leaving(i)) {
        left[this.target(e)] -= 1;
        if (!left[this.target(e)]) heap.push(this.target(e));
      }
    }
  }

  // Runs of boxes in order that light up together: those of one level, or of one whole step.
  stages(members, wholeSteps) {
    const { column } = this.model;
    const found = [];
    let before = -1;
    for (const i of this.order) {
      if (members && !members[i]) continue;
      const same = before >= 0 && column[i] === column[before]
        && (wholeSteps || this.level[i] === this.level[before]);
      if (same) found[found.length - 1].push(i); else found.push([i]);
      before = i;
    }
    return found;
  }
}

// A heap of numbers; the least by `before` comes first.
class Heap {
  constructor(before) {
    this.before = before;
    this.items = [];
  }

  push(item) {
    const { items } = this;
    let i = items.push(item) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (this.before(items[up], items[i]) <= 0) return;
      [items[up], items[i]] = [items[i], items[up]];
      i = up;
    }
  }

  pop() {
    const { items } = this;
    const top = items[0];
    const last = items.pop();
    if (items.length) {
      items[0] = last;
      this.sink();
    }
    return top;
  }

  sink() {
    const { items } = this;
    let i = 0;
    for (;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < items.length && this.before(items[child], items[least]) < 0) least = child;
      }
      if (least === i) return;
      [items[i], items[least]] = [items[least], items[i]];
      i = least;
    }
  }
}
