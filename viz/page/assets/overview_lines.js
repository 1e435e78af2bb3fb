'use strict';
// The still parts of the overview: which steps the picture has, powers of ten, and a line for each
// state. Where there are more steps than pixels the line is a band, from the smallest norm of
// neighbouring steps to the largest. Below the overview.

const NEIGHBOURS = 6; // steps at least that a band takes together: fewer would flicker
const HUES = 4; // ways to draw a state, by colour and dash; the style sheet has them

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
    svg.append(OverviewLines.element('path', { class: `norm state${k % HUES}`, d: 'M0 4H22' }));
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
      this.make('path', { class: `norm state${k % HUES}${this.dense(own) ? ' band' : ''}`, d: this.line(own) }),
      this.make('path', { class: 'dead', d: this.dead(own) }),
      this.make('path', { class: 'broken', d: this.broken(own) }),
    ]);
  }

  // Whether there are more steps than pixels.
  dense({ times }) { return times.length > this.width - EDGE.left - EDGE.right; }

  // Broken off where a step is unknown, zero or not finite.
  line(own) {
    const close = this.dense(own) ? 'Z' : '';
    return this.runs(own).map((run) => (close ? this.band(run) : run))
      .map((run) => (run.length > 1 ? `M${run.map(([x, y]) => `${x} ${y}`).join('L')}${close}`
        : `M${run[0][0] - 1} ${run[0][1]}h2`)).join('');
  }

  // Stretches of successive steps with norms that can be drawn, as points.
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

  // The outline of a run: the largest norms of neighbours there, the smallest back.
  band(run) {
    const size = Math.max(Math.ceil(NEIGHBOURS * (this.of.px(1) - this.of.px(0))), 1);
    const [upper, lower] = [[], []];
    for (let i = 0; i < run.length;) {
      const place = Math.floor(run[i][0] / size);
      const x = run[i][0];
      let [high, low] = [Infinity, -Infinity];
      let last = x;
      for (; i < run.length && Math.floor(run[i][0] / size) === place; i += 1) {
        [last] = run[i];
        [high, low] = [Math.min(high, run[i][1]), Math.max(low, run[i][1])];
      }
      upper.push([x, high], [last, high]);
      lower.push([x, low], [last, low]);
    }
    return [...upper, ...lower.reverse()];
  }

  // A tick at the foot for every step that no gradient comes to.
  dead({ times, norms }) { return this.ticks(times, norms, (v) => v === 0, this.height - EDGE.bottom, -5); }

  // One at the top for every step with an infinite or NaN gradient.
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
