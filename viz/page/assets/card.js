'use strict';
// The card that tells everything of one box or wire: in short for screen readers, in full beside
// the picture. Above the model.

const KINDS = { state: 'new state', op: 'operation', gradient: 'gradient op', gap: 'steps left out',
  parameter: 'parameters' };

class Card {
  constructor(root, model) {
    this.root = root;
    this.model = model;
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
    this.facts.replaceChildren(...facts.flatMap(([name, value, kind]) => {
      const [dt, dd] = [document.createElement('dt'), document.createElement('dd')];
      dt.textContent = name;
      dd.textContent = value;
      if (kind) dd.className = kind;
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
    if (value !== null) facts.push(['‖value‖', Say.norm(value), 'value']);
    facts.push(...this.gradients(i));
    const title = m.nodes.title[i];
    if (title !== undefined) facts.push(['note', m.word(title)]);
    return facts.filter(([, text]) => text !== null && text !== '');
  }

  gradients(i) {
    const grads = this.model.nodes.grads[i];
    if (grads) {
      return grads.map(([word, g]) => {
        const name = this.model.word(word);
        return [name ? `‖∂L/∂${name}‖` : '‖gradient‖', Say.norm(Number(g)), 'grad'];
      });
    }
    const norm = this.model.node(i, 'grad_norm');
    return norm === null ? [] : [['‖gradient‖', Say.norm(norm), 'grad']];
  }

  histograms(i) {
    const { histogram, grad_histogram: gradient } = this.model.nodes;
    const charts = [];
    if (histogram[i]) charts.push(Histogram.draw('values', histogram[i], 'value'));
    if (gradient[i]) charts.push(Histogram.draw('gradient', gradient[i], 'grad'));
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
      facts.push(['kind', m.word(m.edgeKind[e])], ['carries', m.word(m.edgeLabel[e])]);
      if (m.dt[e]) facts.push(['steps', String(m.dt[e])]);
      if (m.edgeNorm && m.edgeNorm[e] !== null) {
        facts.push(['‖its contribution‖', Say.norm(m.edgeNorm[e]), 'grad']);
      }
      if (m.edgeJacobian && m.edgeJacobian[e] !== null) {
        facts.push(['‖Jacobian‖', Say.norm(m.edgeJacobian[e])]);
      }
      if (m.cut.has(e)) facts.push(['cut', 'no gradient passes here']);
    }
    return facts.filter(([, text]) => text !== '');
  }

  static where(m, i) {
    const t = m.node(i, 't');
    return t === null ? m.full(i) : `${m.full(i)}, t = ${t}`;
  }

  // One sentence for a screen reader.
  sentence(i, order) {
    const parts = this.boxFacts(i).filter(([name]) => name !== 'note')
      .map(([name, text]) => (name === 'kind' ? text : `${name} ${text}`));
    parts.push(`${Say.some(order.entering(i).length, 'edge')} in`,
      `${Say.count(order.leaving(i).length)} out`);
    return `${this.model.full(i)}: ${parts.join(', ')}`.replaceAll('‖', '');
  }
}
