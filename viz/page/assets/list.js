'use strict';
// The boxes as text: those that the search found, or all of them, a hundred at a time. What the
// picture says to those who cannot see it. Above the search.

const PAGE = 100;

class List {
  constructor(root, model, picked) {
    this.root = root;
    this.model = model;
    this.list = root.querySelector('ol');
    this.where = root.querySelector('.where');
    this.boxes = [];
    this.page = 0;
    this.list.addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (button) picked(Number(button.dataset.box));
    });
    root.querySelector('.earlier').addEventListener('click', () => this.turn(-1));
    root.querySelector('.later').addEventListener('click', () => this.turn(1));
  }

  set(boxes, what) {
    this.boxes = boxes;
    this.what = what;
    this.page = 0;
    this.draw();
  }

  turn(by) {
    const last = Math.max(Math.ceil(this.boxes.length / PAGE) - 1, 0);
    this.page = Math.min(Math.max(this.page + by, 0), last);
    this.draw();
  }

  draw() {
    if (this.root.hidden) return;
    const from = this.page * PAGE;
    const shown = this.boxes.slice(from, from + PAGE);
    this.list.start = from + 1;
    this.list.replaceChildren(...shown.map((i) => this.item(i)));
    this.where.textContent = shown.length
      ? `${this.what} ${Say.count(from + 1)} to ${Say.count(from + shown.length)} of ${Say.count(this.boxes.length)}`
      : `${this.what}: none`;
    this.root.querySelector('.earlier').disabled = from === 0;
    this.root.querySelector('.later').disabled = from + PAGE >= this.boxes.length;
  }

  item(i) {
    const m = this.model;
    const [item, button, name, more] = ['li', 'button', 'b', 'span']
      .map((tag) => document.createElement(tag));
    button.type = 'button';
    button.dataset.box = i;
    name.textContent = m.label(i);
    const t = m.node(i, 't');
    const norm = m.node(i, 'grad_norm');
    more.textContent = [m.node(i, 'kind') || m.word(m.boxKind[i]), t === null ? '' : `t = ${t}`,
      m.node(i, 'path'), norm === null ? '' : `‖d‖ ${Say.norm(norm)}`].filter(Boolean).join(' · ');
    button.append(name, ' ', more);
    item.append(button);
    return item;
  }
}
