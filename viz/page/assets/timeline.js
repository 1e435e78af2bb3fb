'use strict';
// Steps and places on the picture: which step stands where, also of those that it leaves out, and
// the other way round. Above the model, below the overview.

class Timeline {
  // `known` are the steps of which a norm is known; columns without steps are counted instead.
  constructor(model, known) {
    this.model = model;
    const { bands } = model;
    const times = bands.map((band) => band.t).filter((t) => t !== null);
    this.byTime = times.length > 0 && times.every((t, i) => !i || t > times[i - 1]);
    this.low = (this.byTime ? Math.min(times[0], ...Timeline.ends(known)) : 0) - 0.5;
    this.high = (this.byTime ? Math.max(times[times.length - 1], ...Timeline.ends(known))
      : bands.length - 1) + 0.5;
    this.spans = this.byTime ? this.findSpans() : bands.map((_, i) => [i - 0.5, i + 0.5]);
  }

  static ends(list) { return list.length ? [list[0], list[list.length - 1]] : []; }

  // From which step to which each column reaches; those without a step fill what is between.
  findSpans() {
    const { bands } = this.model;
    const edge = (i, by) => {
      for (let k = i + by; bands[k]; k += by) if (bands[k].t !== null) return bands[k].t - by / 2;
      return by < 0 ? this.low : this.high;
    };
    return bands.map(({ t }, i) => (t === null ? [edge(i, -1), edge(i, 1)] : [t - 0.5, t + 0.5]));
  }

  get first() { return Math.round(this.low + 0.5); }

  get last() { return Math.round(this.high - 0.5); }

  layout(g) { this.g = g; }

  place(column) {
    const band = this.model.bands[column];
    return [this.g.x.map(band.x), this.g.x.map(band.x + band.w)];
  }

  // The column that shows a step or, where it is left out, stands for it; else the nearest.
  column(t) {
    const { spans } = this;
    let best = 0;
    let least = Infinity;
    spans.forEach(([a, b], i) => {
      const away = Math.max(a - t, t - b, 0);
      if (away < least) [best, least] = [i, away];
    });
    return best;
  }

  // The step of a column, or the middle of those that it stands for.
  ofColumn(column) {
    const i = Math.min(Math.max(column, 0), this.spans.length - 1);
    if (i < 0) return 0;
    const [a, b] = this.spans[i];
    return Math.min(Math.max(Math.round((a + b) / 2), this.first), this.last);
  }

  // Whether a step has a column of its own.
  shows(t) {
    const i = this.column(t);
    return !this.byTime || this.model.bands[i].t === t;
  }

  // The place of a step on the picture.
  x(t) {
    const i = this.column(t);
    const [a, b] = this.spans[i];
    const [left, right] = this.place(i);
    const share = b > a ? Math.min(Math.max((t - a) / (b - a), 0), 1) : 0.5;
    return left + share * (right - left);
  }

  // The step at a place of the picture, with its fraction.
  t(x) {
    const last = this.spans.length - 1;
    for (let i = 0; i <= last; i += 1) {
      const [left, right] = this.place(i);
      if (x <= right || i === last) {
        const [a, b] = this.spans[i];
        const share = right > left ? Math.min(Math.max((x - left) / (right - left), 0), 1) : 0;
        return a + share * (b - a);
      }
    }
    return this.low;
  }

  // The name of a step, or of a column where columns are no steps.
  name(t) {
    const band = this.model.bands[this.column(t)];
    return this.byTime && band.t !== t ? `t = ${t}` : band.heading || `column ${t + 1}`;
  }
}
