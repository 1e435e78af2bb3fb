'use strict';
// The controls of folding: ranges of steps by two menus or by clicks on headings, layers by boxes
// to tick, and what is folded now. Above folding.

class FoldPanel {
  constructor(root, folding, changed, say) {
    this.root = root;
    this.folding = folding;
    this.changed = changed;
    this.say = say;
    this.from = root.querySelector('#fold-from');
    this.to = root.querySelector('#fold-to');
    this.list = root.querySelector('.folded');
    this.fillMenus();
    this.fillLayers();
    root.querySelector('#fold').addEventListener('click', () => {
      this.fold(Number(this.from.value), Number(this.to.value));
    });
    root.querySelector('#unfold').addEventListener('click', () => this.unfoldAll());
    this.draw();
  }

  name(column) { return this.folding.model.bands[column].heading || `column ${column + 1}`; }

  fillMenus() {
    const { bands } = this.folding.model;
    for (const menu of [this.from, this.to]) {
      menu.replaceChildren(...bands.map((band, i) => new Option(this.name(i), String(i))));
    }
    if (bands.length > 2) {
      this.from.value = '1';
      this.to.value = String(bands.length - 2);
    }
    this.root.querySelector('.steps').hidden = !bands.length;
  }

  fillLayers() {
    const box = this.root.querySelector('.layers');
    const { extents } = this.folding;
    box.hidden = !extents.size;
    for (const [name, extent] of extents) {
      const [label, input] = [document.createElement('label'), document.createElement('input')];
      input.type = 'checkbox';
      input.dataset.layer = name;
      input.disabled = !extent.clear;
      input.addEventListener('change', () => this.foldLayer(name, input.checked));
      label.append(input, ` layer ${name}${extent.clear ? '' : ' (stands among others)'}`);
      box.append(label);
    }
  }

  fold(from, to) {
    this.folding.foldSteps(from, to);
    const [a, b] = [Math.min(from, to), Math.max(from, to)];
    this.done(`${this.name(a)} to ${this.name(b)} folded: ${Say.some(this.folding.stepsIn([a, b]), 'step')}`);
  }

  unfold(column) {
    this.folding.unfoldSteps(column);
    this.done('unfolded');
  }

  foldLayer(name, folded) {
    this.folding.layers.set(name, folded);
    this.done(`layer ${name} ${folded ? 'folded' : 'unfolded'}`);
  }

  unfoldAll() {
    this.folding.unfoldAll();
    this.done('everything unfolded');
  }

  done(text) {
    this.draw();
    this.changed();
    this.say(text);
  }

  draw() {
    for (const input of this.root.querySelectorAll('input[data-layer]')) {
      input.checked = this.folding.layers.get(input.dataset.layer);
    }
    this.list.replaceChildren(...this.folding.steps.map(([a, b]) => {
      const [item, button] = [document.createElement('li'), document.createElement('button')];
      button.type = 'button';
      button.textContent = 'Unfold';
      button.setAttribute('aria-label', `Unfold ${this.name(a)} to ${this.name(b)}`);
      button.addEventListener('click', () => {
        this.unfold(a);
        this.from.focus();
      });
      item.append(a === b ? `${this.name(a)} ` : `${this.name(a)} to ${this.name(b)} `, button);
      return item;
    }));
    this.root.querySelector('#unfold').disabled = !this.folding.any;
  }
}
