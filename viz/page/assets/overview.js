'use strict';
// All of time at one glance: the norms of the gradients of the states by step, on a log scale, with
// the part that the picture has and the part that is in view. A click or a drag goes to a step, and
// so do the keys of the slider on it. Above the timeline; the app moves the camera.

const EDGE = { left: 40, right: 12, top: 4, bottom: 5 }; // pixels around the plot
const NARROWEST = 8; // pixels: of the part in view

class Overview {
  // `on` has go(t, glide).
  constructor(root, model, on) {
    this.root = root;
    this.model = model;
    this.on = on;
    this.at = null;
    this.view = null;
    this.series = model.norms;
    this.timeline = new Timeline(model, this.known());
    if (!this.timeline.byTime) this.series = [];
    this.svg = root.querySelector('svg');
    this.input = root.querySelector('#time');
    this.when = root.querySelector('#when');
    this.reading = root.querySelector('#reading');
    this.drawn = model.bands.length > 1; // else there is no time to go through
    root.hidden = !this.drawn;
    root.classList.toggle('bare', !this.series.length);
    this.input.min = String(this.timeline.first);
    this.input.max = String(this.timeline.last);
    root.querySelector('#overview-title').replaceChildren(...this.title());
    this.scale = Overview.scale(this.series.flatMap((own) => [...own.norms]));
    this.listen();
    this.set(this.timeline.first);
  }

  known() {
    const all = [...new Set(this.series.flatMap((own) => [...own.times]))];
    return all.sort((p, q) => p - q);
  }

  // The quantity with a piece of its line for each state.
  title() {
    if (!this.series.length) return ['Steps'];
    const shown = this.series.slice(0, 4).flatMap(({ name }, k) => [OverviewLines.key(k), `‖dL/d${name}‖ `]);
    const bands = document.createElement('span');
    bands.className = 'bands';
    bands.textContent = '; bands hold neighbouring steps';
    return [...shown, `${this.series.length > 4 ? '… ' : ''}at each step, log scale`, bands];
  }

  // The powers of ten around all norms that are finite and not zero.
  static scale(norms) {
    let [low, high] = [Infinity, -Infinity];
    for (const v of norms) {
      if (v > 0 && v < Infinity) [low, high] = [Math.min(low, v), Math.max(high, v)];
    }
    if (low > high) return [-1, 0];
    const [a, b] = [Math.floor(Math.log10(low) + 1e-9), Math.ceil(Math.log10(high) - 1e-9)];
    return a < b ? [a, b] : [a - 1, b];
  }

  listen() {
    const place = (event) => this.stepAt(event.clientX - this.svg.getBoundingClientRect().left);
    let down = false;
    this.svg.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      down = true;
      this.svg.setPointerCapture(event.pointerId);
      this.go(place(event), true);
    });
    this.svg.addEventListener('pointermove', (event) => {
      if (down) this.go(place(event), false);
      else this.read(place(event));
    });
    for (const name of ['pointerup', 'pointercancel']) {
      this.svg.addEventListener(name, () => { down = false; });
    }
    this.svg.addEventListener('pointerleave', () => this.read(this.at));
    this.input.addEventListener('input', () => this.go(Number(this.input.value), false));
  }

  go(t, glide) {
    this.set(t);
    this.on.go(t, glide);
  }

  // The step that the marker stands at.
  set(t) {
    if (!this.drawn) return;
    this.at = t;
    this.input.value = String(t);
    this.read(t);
    this.input.setAttribute('aria-valuetext', [this.when.textContent, this.reading.textContent]
      .filter(Boolean).join(', '));
    this.drawMarker();
  }

  // What is known of a step, in words beside the line.
  read(t) {
    this.when.textContent = this.timeline.name(t);
    this.reading.textContent = this.series.map(({ name, times, norms }) => {
      const i = Overview.find(times, t);
      return i < 0 ? '' : `‖dL/d${name}‖ ${Say.short(norms[i])}`;
    }).filter(Boolean).slice(0, 4).join(' · ')
      + (this.timeline.shows(t) ? '' : `${this.series.length ? ' · ' : ''}not in the picture`);
  }

  static find(times, t) {
    let [low, high] = [0, times.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (times[middle] === t) return middle;
      if (times[middle] < t) low = middle + 1; else high = middle - 1;
    }
    return -1;
  }

  get size() { return [this.svg.clientWidth, this.svg.clientHeight]; }

  px(t) {
    const { low, high } = this.timeline;
    return EDGE.left + ((t - low) / (high - low)) * (this.size[0] - EDGE.left - EDGE.right);
  }

  py(norm) { return this.row(Math.log10(norm)); }

  row(power) {
    const [a, b] = this.scale;
    const [, height] = this.size;
    return EDGE.top + ((b - power) / (b - a)) * (height - EDGE.top - EDGE.bottom);
  }

  stepAt(px) {
    const { low, high, first, last } = this.timeline;
    const share = (px - EDGE.left) / Math.max(this.size[0] - EDGE.left - EDGE.right, 1);
    return Math.min(Math.max(Math.round(low + share * (high - low)), first), last);
  }

  layout(g) {
    this.timeline.layout(g);
    this.draw();
  }

  // Mark what the camera sees.
  camera({ x, k, size }) {
    if (!this.timeline.g || !this.drawn) return;
    this.view = [this.timeline.t(-x / k), this.timeline.t((size[0] - x) / k)];
    this.drawView();
  }

  draw() {
    if (!this.drawn || !this.size[0]) return;
    const lines = new OverviewLines(this);
    this.svg.replaceChildren(...lines.ground(), ...lines.grid(), ...lines.norms(), ...lines.unknown());
    this.root.classList.toggle('dense', this.series.some((own) => lines.dense(own)));
    this.window = lines.make('rect', { class: 'view', rx: 3 });
    this.marker = lines.make('path', { class: 'at' });
    this.svg.append(this.window, this.marker);
    this.drawView();
    this.drawMarker();
  }

  drawView() {
    if (!this.view || !this.window) return;
    const [a, b] = this.view.map((t) => this.px(t));
    const wide = Math.max(b - a, NARROWEST);
    const set = (name, v) => this.window.setAttribute(name, v.toFixed(1));
    set('x', Math.max((a + b - wide) / 2, EDGE.left - 3));
    set('width', wide);
    set('y', 0.75);
    set('height', Math.max(this.size[1] - 1.5, 0));
    const { low, high, spans, byTime } = this.timeline;
    const [from, to] = this.view;
    this.window.classList.toggle('wide', byTime && spans.some(([p, q], i) => q - p > 1
      && this.model.bands[i].t === null && p < to && q > from));
    this.window.classList.toggle('all', this.view[0] <= low && this.view[1] >= high);
  }

  drawMarker() {
    if (!this.marker) return;
    this.marker.setAttribute('d', `M${this.px(this.at).toFixed(1)} 1V${this.size[1] - 1}`);
  }
}
