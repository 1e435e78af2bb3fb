'use strict';
// The controls of paths: their two ends, how many there are, and the strongest. Above paths.

class PathPanel {
  constructor(root, order, changed, say) {
    this.root = root;
    this.order = order;
    this.model = order.model;
    this.changed = changed;
    this.say = say;
    this.from = -1;
    this.to = -1;
    this.paths = null;
    root.querySelector('#swap').addEventListener('click', () => this.set(this.to, this.from));
    root.querySelector('#clear-paths').addEventListener('click', () => this.clear());
    this.draw();
  }

  clear() { this.set(-1, -1); }

  // Both ends; where only the other way round has paths, that is taken.
  set(from, to) {
    this.from = from;
    this.to = to;
    this.paths = null;
    if (from >= 0 && to >= 0) {
      this.paths = new Paths(this.order, from, to);
      if (!this.paths.count) {
        const back = new Paths(this.order, to, from);
        if (back.count) {
          this.paths = back;
          [this.from, this.to] = [to, from];
        }
      }
    }
    this.draw();
    this.changed();
    if (this.paths) this.say(this.text());
  }

  start(i) { this.set(i, this.to === i ? -1 : this.to); }

  end(i) { this.set(this.from === i ? -1 : this.from, i); }

  // The first pick is one end, the second the other.
  add(i) {
    if (this.from < 0 || this.to >= 0) this.set(i, -1);
    else if (i !== this.from) this.set(this.from, i);
  }

  text() {
    const { paths } = this;
    if (!paths.count) return 'no path leads from one to the other';
    const boxes = Say.some(paths.boxes.length, 'box', 'boxes');
    const count = `${Paths.number(paths.count)} ${paths.count === 1n ? 'path' : 'paths'}`;
    return `${count}, over ${boxes} and ${Say.some(paths.edges, 'edge')}`;
  }

  draw() {
    const name = (i) => (i < 0 ? 'not chosen' : Card.where(this.model, i));
    this.root.querySelector('.from').textContent = name(this.from);
    this.root.querySelector('.to').textContent = name(this.to);
    this.root.querySelector('#clear-paths').disabled = this.from < 0 && this.to < 0;
    this.root.querySelector('#swap').disabled = this.from < 0 || this.to < 0;
    const found = this.root.querySelector('.found');
    found.textContent = this.paths ? this.text() : '';
    this.root.querySelector('.exact').textContent = this.exact();
    this.root.querySelector('.strongest').textContent = this.strongest();
    this.root.querySelector('.rounds').hidden = !this.order.rounds;
  }

  // All digits of a count that is shortened above.
  exact() {
    const digits = this.paths ? this.paths.count.toString() : '';
    return digits.length > 30 ? `exactly ${digits}` : '';
  }

  // The path of the largest product, with its factors; what has no product is told.
  strongest() {
    const { paths } = this;
    if (!paths || !paths.count || paths.from === paths.to) return '';
    const lacking = `${Say.count(paths.unmeasured)} of the ${Say.some(paths.edges, 'edge')} on paths `
      + `${paths.unmeasured === 1 ? 'has' : 'have'} no measured Jacobian`;
    if (!paths.strongest) return `The strongest is not known, no path has a product: ${lacking}.`;
    const { boxes, norms } = paths.strongest;
    const names = boxes.map((i) => this.model.label(i));
    const shown = names.length > 12 ? [...names.slice(0, 6), '…', ...names.slice(-5)] : names;
    const { product, factors } = Paths.equation(norms);
    const rest = paths.unmeasured ? ` Paths along others have no product: ${lacking}.` : '';
    return 'Strongest, by the product of the norms of its edges\u2019 Jacobians, the most that it can '
      + `carry: ${factors.join(' × ')} = ${product} along ${shown.join(' → ')}.${rest}`;
  }
}
