'use strict';
// The card that tells everything of one box or wire: in short for screen readers, in full beside
// the picture. `d` is a total derivative, over all that comes later; `∂` a direct one, what one use
// adds. Above the model.

const KINDS = { state: 'new state', op: 'operation', gradient: 'gradient op', gap: 'steps left out',
  parameter: 'parameters' };
const LAST = 'of its last operation';
const STATES = { h: 'hidden state h', c: 'cell state c', θ: 'parameters θ, all in this box' };

class Card {
  constructor(root, model) {
    this.root = root;
    this.model = model;
    this.growth = new Growth(model);
    this.title = root.querySelector('h2');
    this.facts = root.querySelector('dl');
    this.charts = root.querySelector('.charts');
    this.actions = root.querySelector('.actions');
  }

  hide() { this.root.hidden = true; }

  // Show what is pinned or hovered over; only what is pinned has buttons.
  show({ box, wire }, pinned) {
    this.root.hidden = false;
    this.root.classList.toggle('pinned', pinned);
    this.actions.hidden = !pinned || box === undefined;
    if (box !== undefined) this.fill(this.model.full(box), this.boxFacts(box), this.histograms(box));
    else this.fill(this.wireTitle(wire), this.wireFacts(wire), []);
  }

  fill(title, facts, charts) {
    this.title.textContent = title;
    this.facts.replaceChildren(...facts.flatMap(([name, value, kind, note]) => {
      const [dt, dd, small] = ['dt', 'dd', 'span'].map((tag) => document.createElement(tag));
      dt.textContent = name;
      dd.textContent = value;
      if (kind) dd.className = kind;
      small.textContent = note ? ` ${note}` : '';
      dd.append(small);
      return [dt, dd];
    }));
    this.charts.replaceChildren(...charts);
  }

  boxFacts(i) {
    const m = this.model;
    const kind = m.node(i, 'kind') || m.word(m.boxKind[i]);
    const facts = [['kind', KINDS[kind] || kind], ['op', m.node(i, 'op')],
      ['role', m.node(i, 'role')], ['cell', m.node(i, 'cell')], ['path', m.node(i, 'path')],
      ['t', m.node(i, 't')], ['layer', m.node(i, 'layer')],
      ['direction', m.node(i, 'direction')], ['shape', m.node(i, 'shape')],
      ['dtype', m.node(i, 'dtype')]];
    const members = m.node(i, 'members');
    if (members > 1) facts.push(['operations', Say.count(members)]);
    const value = m.node(i, 'value_norm');
    if (value !== null) facts.push(this.value(i, kind, value));
    facts.push(...this.gradients(i), ...this.uses(i));
    const title = m.nodes.title[i];
    if (title !== undefined) facts.push(['note', m.word(title)]);
    return facts.filter(([, text]) => text !== null && text !== '');
  }

  static state(name) { return STATES[name] || `state ${name}`; }

  // The states that a box has gradients of, by name.
  states(i) {
    return (this.model.nodes.grads[i] || []).map(([word]) => this.model.word(word)).filter(Boolean);
  }

  // The norm of what a box makes: of the last of its operations, of any state.
  value(i, kind, value) {
    const states = this.states(i);
    const number = [Say.norm(value), 'value'];
    return ['‖value‖', ...number, kind === 'cell' && states.length ? LAST : ''];
  }

  gradients(i) {
    const grads = this.model.nodes.grads[i] || [];
    const norm = this.model.node(i, 'grad_norm');
    if (!grads.length) return norm === null ? [] : [['‖gradient‖', Say.norm(norm), 'grad', 'total']];
    const facts = grads.map(([word, g]) => {
      const name = this.model.word(word);
      const number = [Say.norm(Number(g)), 'grad'];
      return name ? [`‖dL/d${name}‖`, ...number, `total, of ${Card.state(name)}`]
        : ['‖gradient‖', ...number, 'total, of what it makes'];
    });
    const names = this.states(i);
    if (names.length > 1 && norm !== null) {
      facts.push([`‖dL/d(${names.join(', ')})‖`, Say.norm(norm), 'grad', `total, of ${names.join(' and ')} joined`]);
    }
    return facts;
  }

  // What the uses of a weight add: their norms, which do not add up to the norm above.
  uses(i) {
    const own = this.growth.weights.get(i);
    if (!own) return [];
    return [['Σ ‖∂‖', Say.norm(this.growth.total.get(i)), 'grad', `sum of the norms of what ${
      Say.some(own.length, 'use')} add${own.length === 1 ? 's' : ''}; ‖dL/dθ‖ is the norm of their sum`]];
  }

  histograms(i) {
    const { histogram, grad_histogram: gradient } = this.model.nodes;
    const charts = [];
    const last = this.states(i).length && this.model.node(i, 'kind') === 'cell' ? ` ${LAST}` : '';
    if (histogram[i]) charts.push(Histogram.draw(`values${last}`, histogram[i], 'value'));
    if (gradient[i]) charts.push(Histogram.draw(`gradient${last}`, gradient[i], 'grad'));
    return charts;
  }

  wireTitle(w) {
    const m = this.model;
    const [a, b] = [m.wireEnds[2 * w], m.wireEnds[2 * w + 1]];
    if (a < 0 || b < 0) return m.word(m.wireTitle[w]) || 'wire';
    return `${m.full(a)} → ${m.full(b)}`;
  }

  wireFacts(w) {
    const m = this.model;
    const e = m.wireEdge[w];
    const back = m.backward[w];
    const facts = [['wire', back ? 'backward: a gradient' : 'forward']];
    for (const [name, end] of [['from', 2 * w], ['to', 2 * w + 1]]) {
      const i = m.wireEnds[end];
      if (i >= 0) facts.push([name, Card.where(m, i)]);
    }
    if (e < 0) {
      facts.push(['note', m.word(m.wireTitle[w])]);
    } else {
      const label = m.word(m.edgeLabel[e]);
      facts.push(['kind', m.word(m.edgeKind[e])],
        ['carries', STATES[label] ? Card.state(label) : label]);
      if (m.dt[e]) facts.push(['steps', String(m.dt[e])]);
      if (m.edgeNorm && m.edgeNorm[e] !== null) {
        facts.push([`‖∂${STATES[label] ? label : ''}‖`, Say.norm(m.edgeNorm[e]), 'grad',
          `direct: what this use adds to ${this.target(e, label)}`]);
      }
      if (m.edgeJacobian && m.edgeJacobian[e] !== null) {
        facts.push(['‖Jacobian‖', Say.norm(m.edgeJacobian[e])]);
      }
      if (m.cut.has(e)) facts.push(['cut', 'no gradient passes here']);
    }
    return facts.filter(([, text]) => text !== '');
  }

  // The gradient that a use adds to.
  target(e, label) {
    const m = this.model;
    if (STATES[label]) return `dL/d${label}`;
    return m.word(m.edgeKind[e]) === 'parameter' ? 'dL/dθ' : `the gradient of ${m.full(m.edgeEnds[2 * e])}`;
  }

  static where(m, i) {
    const t = m.node(i, 't');
    return t === null ? m.full(i) : `${m.full(i)}, t = ${t}`;
  }

  // One sentence for a screen reader.
  sentence(i, order) {
    const parts = this.boxFacts(i).filter(([name]) => name !== 'note')
      .map(([name, text, , note]) => [name === 'kind' ? '' : name, text, note].filter(Boolean).join(' '));
    parts.push(`${Say.some(order.entering(i).length, 'edge')} in`,
      `${Say.count(order.leaving(i).length)} out`);
    return `${this.model.full(i)}: ${parts.join(', ')}`.replaceAll('‖', '');
  }
}
