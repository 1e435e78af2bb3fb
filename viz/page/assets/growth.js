'use strict';
// What each step adds to the gradient of a weight, while the backward pass is played: the norms of
// the contributions one after another on a bar in the weight's box. Norms of vectors do not add up
// to the norm of their sum, so a tick marks that one. Above the order, below the views.

const BAR = 4; // pixels: the height of the bar
const MANY_USES = 200; // more than can be told apart on it

class Growth {
  constructor(model) {
    this.model = model;
    this.weights = new Map(); // box -> its uses, in the order of the edges
    for (let e = 0; e < model.edgeCount; e += 1) {
      const [box, target] = [model.edgeEnds[2 * e], model.edgeEnds[2 * e + 1]];
      const norm = model.edgeNorm && model.edgeNorm[e];
      if (typeof norm !== 'number' || model.word(model.edgeKind[e]) !== 'parameter') continue;
      if (!this.weights.has(box)) this.weights.set(box, []);
      this.weights.get(box).push({ target, norm });
    }
    this.total = new Map([...this.weights].map(([box, uses]) => (
      [box, uses.reduce((sum, { norm }) => sum + norm, 0)])));
  }

  // What lies on the bar, from 0 to 1, in the order in which the pass comes to it: a part for each
  // use that has come, or one for all before the last stage where there are many. None where there
  // is no gradient or one that is not finite.
  parts(box, { stage, at }) {
    const total = this.total.get(box);
    if (!(total > 0 && total < Infinity)) return [];
    const found = [];
    const many = this.weights.get(box).length > MANY_USES;
    let sum = 0;
    for (const { target, norm } of this.sorted(box, stage)) {
      if (stage[target] > at) break;
      const [from, now, last] = [sum / total, stage[target] === at, found[found.length - 1]];
      sum += norm;
      if (many && last && last.now === now) last.to = sum / total;
      else found.push({ from, to: sum / total, now });
    }
    return found;
  }

  // The uses of a weight that a pass comes to, in its order.
  sorted(box, stage) {
    if (this.stage !== stage) [this.stage, this.order] = [stage, new Map()];
    if (!this.order.has(box)) {
      this.order.set(box, this.weights.get(box).filter(({ target }) => stage[target] >= 0)
        .sort((p, q) => stage[p.target] - stage[q.target]));
    }
    return this.order.get(box);
  }

  // The norm of the sum of all contributions, as a share of the sum of their norms: at most 1.
  // Null where the picture does not hold all of them.
  whole(box) {
    const [norm, total] = [this.model.node(box, 'grad_norm'), this.total.get(box)];
    const share = norm / total;
    return norm !== null && share > 0 && share <= 1 + 1e-6 ? Math.min(share, 1) : null;
  }

  // What the stage adds that the pass is at.
  words(box, { stage, at }) {
    const now = this.weights.get(box).filter(({ target }) => stage[target] === at);
    if (!now.length) return '';
    const t = this.model.node(now[0].target, 't');
    const where = t === null ? '' : ` · t = ${t}`;
    return now.length > 2 ? `${now.length} uses${where}`
      : `${now.map(({ norm }) => `+ ${Say.short(norm)}`).join(', ')}${where}`;
  }

  // The bar as SVG, at a place and of a width.
  shapes(box, play, [left, top, wide]) {
    const make = Growth.element;
    const found = [make('rect', { class: 'track', x: left, y: top, width: wide, height: BAR })];
    for (const { from, to, now } of this.parts(box, play)) {
      const room = (to - from) * wide;
      found.push(make('rect', { class: now ? 'part now' : 'part', y: top, height: BAR,
        x: left + from * wide, width: Math.max(room - (room > 2 ? 0.6 : 0), 0.3) }));
    }
    const whole = this.whole(box);
    if (whole !== null) {
      found.push(make('path', { class: 'whole', d: `M${left + whole * wide} ${top - 1.5}v${BAR + 3}` }));
    }
    return found;
  }

  static element(name, attributes, words = '') {
    const element = document.createElementNS(SVG_NAME, name);
    for (const [key, v] of Object.entries(attributes)) {
      element.setAttribute(key, typeof v === 'number' ? v.toFixed(2) : v);
    }
    element.textContent = words;
    return element;
  }

  // The place of the bar in a box.
  static place(x, y, w, h) { return [x + 5, y + h - BAR - 2.5, w - 10]; }
}

// The bars of all weights as SVG.
class GrowthBars {
  constructor(growth, boxes) {
    this.growth = growth;
    this.boxes = boxes;
    this.group = document.createElementNS(SVG_NAME, 'g');
    this.group.classList.add('growth');
    this.stage = null;
  }

  draw(g, play) {
    const { growth } = this;
    const on = Boolean(play && play.back && growth.weights.size);
    this.group.classList.toggle('gone', !on);
    for (const box of growth.weights.keys()) { // what is added stands in the second line's place
      this.boxes[box].classList.toggle('growing', on && growth.words(box, play) !== '');
    }
    if (!on) return;
    this.group.replaceChildren(...[...growth.weights.keys()].filter((box) => !g.boxHidden[box])
      .flatMap((box) => this.parts(box, g.rect.subarray(4 * box, 4 * box + 4), play)));
  }

  parts(box, [x, y, w, h], play) {
    const found = this.growth.shapes(box, play, Growth.place(x, y, w, h));
    const words = this.growth.words(box, play);
    const lower = this.boxes[box].querySelectorAll('text').length > 2 ? y + h / 2 + 4 : y - 3;
    if (words) found.push(Growth.element('text', { class: 'adds', x: x + w / 2, y: lower }, words));
    return found;
  }
}
