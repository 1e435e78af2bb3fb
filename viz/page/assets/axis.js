'use strict';
// One axis with some of its stretches squeezed: a monotone map from places on the plain picture to
// places on the folded one. Below folding.

class Axis {
  // Stretches are [start, end, size], apart from each other and in order.
  constructor(stretches = []) {
    this.starts = stretches.map((s) => s[0]);
    this.ends = stretches.map((s) => s[1]);
    this.sizes = stretches.map((s) => s[2]);
    this.folded = []; // where each stretch begins on the folded picture
    let less = 0;
    for (let k = 0; k < this.starts.length; k += 1) {
      this.folded.push(this.starts[k] - less);
      less += this.ends[k] - this.starts[k] - this.sizes[k];
    }
    this.plain = this.starts.length === 0;
  }

  // The last stretch that begins at or before a place, -1 for none.
  last(v) {
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= v) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  map(v) {
    if (this.plain) return v;
    const k = this.last(v);
    if (k < 0) return v;
    if (v >= this.ends[k]) return this.folded[k] + this.sizes[k] + v - this.ends[k];
    const share = (v - this.starts[k]) / (this.ends[k] - this.starts[k]);
    return this.folded[k] + share * this.sizes[k];
  }

  // The stretch that a place lies in, -1 for none; its two ends are outside.
  inside(v) {
    if (this.plain) return -1;
    const k = this.last(v);
    return k >= 0 && v > this.starts[k] && v < this.ends[k] ? k : -1;
  }

  // Whether everything from `low` to `high` lies in one stretch.
  hides(low, high) {
    const k = this.inside(low);
    return k >= 0 && high < this.ends[k];
  }
}
