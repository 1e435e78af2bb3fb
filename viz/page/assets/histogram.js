'use strict';
// A small histogram as SVG, with its range in words. Below the card.

const Histogram = {
  // `own` is [low, high, NaN, infinite, counts].
  draw(title, own, kind) {
    const [low, high, nan, inf, counts] = [Number(own[0]), Number(own[1]), own[2], own[3], own[4]];
    const figure = document.createElement('figure');
    figure.className = `histogram ${kind}`;
    const total = counts.reduce((a, b) => a + b, 0);
    const caption = document.createElement('figcaption');
    caption.textContent = `${title}: ${Say.some(total, 'value')}`;
    figure.append(caption);
    if (counts.length) figure.append(Histogram.bars(title, counts, low, high));
    if (counts.length) figure.append(Histogram.ends(low, high, counts.length));
    if (nan || inf) {
      const odd = document.createElement('p');
      odd.className = 'odd';
      odd.textContent = `${Say.count(nan)} NaN, ${Say.count(inf)} infinite, not drawn`;
      figure.append(odd);
    }
    return figure;
  },

  bars(title, counts, low, high) {
    const svg = document.createElementNS(SVG_NAME, 'svg');
    const most = Math.max(...counts, 1);
    svg.setAttribute('viewBox', '0 0 240 48');
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', `${title}, from ${Say.norm(low)} to ${Say.norm(high)}, in `
      + `${Say.some(counts.length, 'bin')}: ${counts.join(', ')}`);
    counts.forEach((n, i) => {
      const wide = counts.length === 1 ? 30 : 240 / counts.length;
      const x = counts.length === 1 ? 105 : i * wide;
      const h = n ? Math.max((46 * n) / most, 1.5) : 0;
      const bar = document.createElementNS(SVG_NAME, 'rect');
      for (const [name, v] of [['x', x + 0.75], ['y', 47 - h], ['width', Math.max(wide - 1.5, 1)],
        ['height', h]]) bar.setAttribute(name, v.toFixed(2));
      const words = document.createElementNS(SVG_NAME, 'title');
      const edge = (k) => Say.norm(low + ((high - low) * k) / counts.length);
      words.textContent = `${edge(i)} to ${edge(i + 1)}: ${Say.count(n)}`;
      bar.append(words);
      svg.append(bar);
    });
    const base = document.createElementNS(SVG_NAME, 'path');
    base.setAttribute('d', 'M0 47.5H240');
    svg.append(base);
    return svg;
  },

  ends(low, high, bins) {
    const ends = document.createElement('p');
    ends.className = 'ends';
    const texts = bins === 1 ? [`all ${Say.norm(low)}`] : [Say.norm(low), Say.norm(high)];
    for (const text of texts) {
      const end = document.createElement('span');
      end.textContent = text;
      ends.append(end);
    }
    return ends;
  },
};
