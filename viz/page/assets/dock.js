'use strict';
// The weights that are out of sight while the backward pass is played: their bars in a corner of
// the stage, the largest first, so that one sees there too what each step adds. Above growth.

const ROWS = 6;

class Dock {
  constructor(root, model, picked) {
    this.root = root;
    this.model = model;
    this.growth = new Growth(model);
    this.order = [...this.growth.weights.keys()]
      .sort((p, q) => this.growth.total.get(q) - this.growth.total.get(p) || p - q);
    root.addEventListener('click', (event) => {
      const row = event.target.closest('button');
      if (row) picked(Number(row.dataset.box));
    });
  }

  draw(play, geometry, camera) {
    const on = Boolean(play && play.back && geometry);
    const away = on ? this.order.filter((box) => Dock.away(box, geometry, camera)) : [];
    this.root.hidden = !away.length;
    if (!away.length) return;
    this.root.replaceChildren(...away.slice(0, ROWS).map((box) => this.row(box, play)));
  }

  // Whether a box is folded away or not whole on the stage.
  static away(box, { rect, boxHidden }, { x, y, k, size }) {
    const [left, top, w, h] = rect.subarray(4 * box, 4 * box + 4);
    return boxHidden[box] || left * k + x < 0 || top * k + y < RULER
      || (left + w) * k + x > size[0] || (top + h) * k + y > size[1];
  }

  row(box, play) {
    const [row, name, words] = ['button', 'b', 'span'].map((tag) => document.createElement(tag));
    row.type = 'button';
    row.dataset.box = box;
    name.textContent = this.model.label(box);
    words.textContent = this.growth.words(box, play);
    const bar = document.createElementNS(SVG_NAME, 'svg');
    bar.setAttribute('viewBox', '0 0 90 8');
    bar.setAttribute('class', 'growth');
    bar.append(...this.growth.shapes(box, play, [0, 2, 90]));
    row.append(name, bar, words);
    return row;
  }
}
