'use strict';
// The reader chooses t: by pointing, by the slider, by the arrow keys. Shades follow the norms.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const byId = name => document.getElementById(name);
  const text = byId('text'), slider = byId('t');
  const tokens = [...text.querySelectorAll('b')];
  const fixed = tokens.map(b => ['sp', 't', 'tok'].filter(c => b.classList.contains(c)).join(' '));
  const bytes = Uint8Array.from(atob(data.norms), c => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const starts = data.lengths.reduce((sums, n) => [...sums, sums.at(-1) + n], [0]);
  let now = slider.valueAsNumber, held = false;

  for (const [k, b] of tokens.entries()) b.dataset.k = k;

  // Numbers that JSON has not are not in it: NaN and infinities lie in the bytes.
  const norm = (i, k) => k < data.lengths[i] ? view.getFloat64(8 * (starts[i] + k), true) : 0;

  function shade(value, later) {
    if (!Number.isFinite(value)) return 'broken';
    if (value === 0) return later ? 'zero' : 'lost';
    const below = Math.log10(value) - Math.log10(data.largest);
    if (below < -data.decades) return 'faint';
    return `s${Math.round(data.steps * (1 + below / data.decades))}`;
  }

  // As `figure` in `viz/labels.py` writes four digits.
  function figure(value) {
    if (Number.isNaN(value)) return 'NaN';
    if (!Number.isFinite(value)) return 'inf';
    const [digits, exponent] = value.toExponential(3).split('e').map(Number);
    if (exponent >= -4 && exponent < 6)
      return Number(value.toFixed(Math.max(3 - exponent, 0)))
        .toLocaleString('en-US', { maximumFractionDigits: 7 });
    const power = [...String(exponent)].map(c => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(c)]).join('');
    return `${digits === 1 ? '' : `${digits}×`}10${power}`;
  }

  function told(i, k) {
    const value = norm(i, k), tone = shade(value, k > data.times[i]);
    const words = tone === 'zero' ? '0: it comes later'
      : tone === 'lost' ? `0, or under ${data.smallest}` : figure(value);
    return `k = ${k}, ${data.names[k]}: ${words}`;
  }

  function show(i) {
    now = i;
    const t = data.times[i];
    for (const [k, b] of tokens.entries()) {
      const tone = shade(norm(i, k), k > t);
      const mark = k === t ? ' at' : data.predicts && k === t + 1 ? ' next' : '';
      b.className = `${fixed[k]} ${tone}${mark}`.trim();
      b.title = told(i, k);
    }
    byId('finding').textContent = data.finding[i];
    byId('which').textContent = data.which[i];
    byId('where').textContent = data.where[i];
    slider.value = i;
    slider.setAttribute('aria-valuetext', data.where[i]);
  }

  function hold(on) {
    held = on;
    text.classList.toggle('held', on);
  }

  // The last t that can be chosen at or before a token; the first where there is none.
  function nearest(k) {
    let low = 0, high = data.times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (data.times[middle] <= k) low = middle; else high = middle - 1;
    }
    return low;
  }

  function move(i) {
    hold(true);
    show(Math.min(Math.max(i, 0), data.times.length - 1));
  }

  const token = event => event.target.closest('.text b');
  text.addEventListener('pointerover', event => {
    const b = token(event);
    if (!b || event.pointerType === 'touch') return;
    const k = Number(b.dataset.k);
    if (!held && nearest(k) !== now) show(nearest(k));
    byId('number').textContent = told(now, k);
  });
  text.addEventListener('click', event => {
    const b = token(event);
    if (!b) return;
    const k = Number(b.dataset.k), same = held && nearest(k) === now;
    if (same) hold(false); else move(nearest(k));
    byId('number').textContent = told(now, k);
  });
  slider.addEventListener('input', () => move(slider.valueAsNumber));
  document.addEventListener('keydown', event => {
    if (event.key === 'Escape') hold(false);
    if (event.target === slider || event.ctrlKey || event.metaKey || event.altKey) return;
    const goal = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: data.times.length - 1 };
    if (!(event.key in goal)) return;
    event.preventDefault();
    move(goal[event.key]);
  });
})();
