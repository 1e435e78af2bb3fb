'use strict';
// The axis of time along the top of the stage: the headings of the columns in view, as many as can
// be read, wherever one has panned to. A click begins or ends a range to fold. Above the camera.

const RULER = 26;

class Ruler {
  constructor(canvas, model) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d');
    this.model = model;
    this.chosen = -1; // the column that a range to fold begins with
    this.current = -1; // the column of the scrubber
    this.view = { x: 0, k: 1 };
    canvas.hidden = !model.bands.length;
  }

  layout(g) {
    this.g = g;
    this.draw();
  }

  camera({ x, k }) {
    this.view = { x, k };
    this.draw();
  }

  set(name, column) {
    this[name] = column;
    this.draw();
  }

  // What a heading is, from the left edge to the right, folded columns as one.
  items() {
    const { x, k } = this.view;
    const width = this.canvas.clientWidth;
    const found = [];
    for (const band of this.g.bands) {
      const left = band.x * k + x;
      if (!band.hidden && left < width && left + band.w * k > 0) {
        found.push({ left, width: band.w * k, text: band.heading, column: band.index, gap: false });
      }
    }
    for (const gap of this.g.gaps) {
      const left = gap.x * k + x;
      if (left < width && left + gap.w * k > 0) {
        found.push({ left, width: gap.w * k, text: gap.text, column: gap.column, gap: true });
      }
    }
    return found.sort((p, q) => p.left - q.left);
  }

  // The heading at a place on the stage, null for none.
  at(px, py) {
    if (this.canvas.hidden || py > RULER) return null;
    return this.items().find((own) => px >= own.left && px <= own.left + own.width) || null;
  }

  draw() {
    if (!this.g || this.canvas.hidden) return;
    const { canvas, context: c } = this;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = canvas.clientWidth;
    if (canvas.width !== Math.round(width * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(RULER * ratio);
    }
    const style = getComputedStyle(canvas);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, RULER);
    c.font = '12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif';
    c.textAlign = 'center';
    let free = 0;
    for (const { left, width: wide, text, column, gap } of this.items()) {
      const own = column === this.chosen || (!gap && column === this.current);
      if (own) {
        c.fillStyle = style.getPropertyValue('accent-color');
        c.beginPath();
        c.roundRect(left + 1, 3, Math.max(wide - 2, 4), RULER - 6, 5);
        c.fill();
      }
      const needed = c.measureText(text).width + 12;
      const middle = left + wide / 2;
      if (middle - needed / 2 < free && !own) continue;
      c.fillStyle = own ? style.getPropertyValue('background-color') : style.color;
      c.fillText(text, middle, 17.5);
      free = middle + needed / 2;
    }
  }
}
