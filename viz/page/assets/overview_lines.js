'use strict';
// The still parts of the overview: which steps the picture has, powers of ten, and a line for each
// state. Of many steps that fall on one pixel the smallest and the largest norm are drawn. Below
// the overview.

const FADE = ['', '5 3', '2 2', '7 2 2 2']; // dashes by state

class OverviewLines {
  constructor(overview) {
    this.of = overview;
    [this.width, this.height] = overview.size;
  }

  make(name, attributes, words) { return OverviewLines.element(name, attributes, words); }

  static element(name, attributes, words = '') {
    const element = document.createElementNS(SVG_NAME, name);
    for (const [key, v] of Object.entries(attributes)) element.setAttribute(key, v);
    element.textContent = words;
    return element;
  }

  // A piece of the line of a state, to stand in text.
  static key(k) {
    const svg = document.createElementNS(SVG_NAME, 'svg');
    svg.setAttribute('class', 'key');
    svg.setAttribute('viewBox', '0 0 22 8');
    svg.append(OverviewLines.element('path', { class: 'norm', d: 'M0 4H22', 'stroke-dasharray': FADE[k % FADE.length] }));
    return svg;
  }

  // Words on the ground where many steps are neither drawn nor known.
  unknown() {
    const { timeline, series, model } = this.of;
    const middle = this.height / 2 + 4;
    return timeline.spans.flatMap(([a, b], i) => {
      const within = series.some(({ times }) => times.some((t) => t > a && t < b));
      if (!timeline.byTime || model.bands[i].t !== null || within) return [];
      const [left, right] = [this.of.px(a), this.of.px(b)];
      const words = `${Say.some(Math.round(b - a), 'step')} left out of the picture`;
      return right - left < 7 * words.length ? []
        : [this.make('text', { class: 'unknown', x: (left + right) / 2, y: middle }, words)];
    });
  }

  // The steps that the picture has stand on a bar, those that it leaves out on the bare ground.
  ground() {
    const { timeline, model } = this.of;
    const y = this.height - EDGE.bottom + 1.5;
    const parts = [];
    let end = -Infinity;
    timeline.spans.forEach(([a, b], i) => {
      if (timeline.byTime && model.bands[i].t === null) return;
      const [left, right] = [this.of.px(a), Math.max(this.of.px(b), this.of.px(a) + 1)];
      if (left > end + 0.3) parts.push(`M${left.toFixed(1)} ${y}H${right.toFixed(1)}`);
      else parts[parts.length - 1] = parts[parts.length - 1].replace(/H.*/, `H${right.toFixed(1)}`);
      end = right;
    });
    return [
      this.make('rect', { class: 'ground', x: EDGE.left, y: 1,
        width: Math.max(this.width - EDGE.left - EDGE.right, 0), height: Math.max(this.height - 2, 0) }),
      this.make('path', { class: 'shown', d: parts.join('') }),
    ];
  }

  // Lines at the ends of the scale and, where there is room, between them.
  grid() {
    if (!this.of.series.length) return [];
    const [a, b] = this.of.scale;
    const every = Math.ceil((b - a) / Math.max(Math.floor(this.height / 18), 1));
    const found = [];
    for (let power = b; power >= a; power -= every) {
      const y = this.of.row(power);
      found.push(this.make('path', { class: 'grid', d: `M${EDGE.left} ${y.toFixed(1)}H${this.width - EDGE.right}` }),
        this.make('text', { class: 'tick', x: EDGE.left - 6, y: Math.min(y + 4, this.height - 1).toFixed(1) },
          Say.power(power)));
    }
    return found;
  }

  norms() {
    return this.of.series.flatMap((own, k) => [
      this.make('path', { class: 'norm', d: this.line(own), 'stroke-dasharray': FADE[k % FADE.length] }),
      this.make('path', { class: 'dead', d: this.dead(own) }),
      this.make('path', { class: 'broken', d: this.broken(own) }),
    ]);
  }

  // Broken off where a step is unknown, zero or not finite.
  line(own) {
    const many = own.times.length > 2 * this.width;
    return this.runs(own).map((run) => (many ? OverviewLines.outline(run) : run))
      .map((run) => (run.length > 1 ? `M${run.map(([x, y]) => `${x} ${y}`).join('L')}`
        : `M${run[0][0] - 1} ${run[0][1]}h2`)).join('');
  }

  // Stretches of steps one after another whose norms can be drawn, as points.
  runs({ times, norms }) {
    const found = [];
    let before = null;
    for (let i = 0; i < times.length; i += 1) {
      if (!(norms[i] > 0 && norms[i] < Infinity)) continue;
      if (before === null || times[i] !== times[before] + 1 || before !== i - 1) found.push([]);
      found[found.length - 1].push([Number(this.of.px(times[i]).toFixed(1)),
        Number(this.of.py(norms[i]).toFixed(1))]);
      before = i;
    }
    return found;
  }

  // Of the points on one pixel the first, the lowest, the highest and the last.
  static outline(run) {
    const found = [];
    for (let i = 0; i < run.length;) {
      const x = Math.round(run[i][0]);
      const own = [];
      for (; i < run.length && Math.round(run[i][0]) === x; i += 1) own.push(run[i][1]);
      found.push([x, own[0]], [x, Math.max(...own)], [x, Math.min(...own)], [x, own[own.length - 1]]);
    }
    return found;
  }

  // A tick at the foot for every step that no gradient comes to.
  dead({ times, norms }) { return this.ticks(times, norms, (v) => v === 0, this.height - EDGE.bottom, -5); }

  // One at the top for every step whose gradient is infinite or NaN.
  broken({ times, norms }) { return this.ticks(times, norms, (v) => !Number.isFinite(v), EDGE.top, 5); }

  ticks(times, norms, which, y, h) {
    let text = '';
    let before = -1;
    for (let i = 0; i < times.length; i += 1) {
      const x = Math.round(this.of.px(times[i]));
      if (which(norms[i]) && x !== before) {
        text += `M${x} ${y}v${h}`;
        before = x;
      }
    }
    return text;
  }
}
