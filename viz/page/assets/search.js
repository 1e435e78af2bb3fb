'use strict';
// Which boxes a query means. Words are looked for in label, op, kind, path and t; `kind:cell`,
// `t:3`, `path:l0`, `op:tanh`, `layer:1` ask one of them alone. Above the model.

class Search {
  constructor(model) {
    this.model = model;
    this.texts = [];
  }

  text(i) {
    if (this.texts[i] === undefined) {
      const m = this.model;
      const t = m.node(i, 't');
      const parts = ['label', 'full', 'kind', 'op', 'role', 'cell', 'direction', 'path']
        .map((name) => m.node(i, name));
      if (t !== null) parts.push(`t=${t}`, `t = ${t}`);
      parts.push(...m.lines[i].map((line) => m.word(line)));
      this.texts[i] = parts.join('\n').toLowerCase();
    }
    return this.texts[i];
  }

  // The tests that a query asks for, all of which a box has to pass.
  static parse(query) {
    return query.toLowerCase().trim().split(/\s+/).filter(Boolean).map((word) => {
      const found = /^(kind|t|path|op|label|layer|cell|role|direction)[:=](.+)$/.exec(word);
      return found ? { name: found[1], value: found[2] } : { name: '', value: word };
    });
  }

  // The boxes that a query means, in the order given.
  find(query, order) {
    const tests = Search.parse(query);
    if (!tests.length) return [];
    const m = this.model;
    const passes = (i) => tests.every(({ name, value }) => {
      if (!name) return this.text(i).includes(value);
      const own = m.node(i, name);
      if (own === null || own === '') return false;
      const exact = name === 't' || name === 'layer' || name === 'direction';
      const text = String(own).toLowerCase();
      return exact ? text === value : text.includes(value);
    });
    return Array.from(order).filter(passes);
  }
}
