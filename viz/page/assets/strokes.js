'use strict';
// The lines of wires: rounded corners and arrow heads, for paths of SVG and of a canvas alike; the
// rule is that of the file that writes the SVG. Below the views.

const ROUND = 5;

const Strokes = {
  // The corners of the arrow head at the end of a line, and where the line itself ends.
  arrow(p, start, end, width) {
    const [ax, ay, bx, by] = [p[end - 4], p[end - 3], p[end - 2], p[end - 1]];
    const length = Math.hypot(bx - ax, by - ay) || 1;
    const ux = (bx - ax) / length;
    const uy = (by - ay) / length;
    const size = Math.min(5 + width, Math.max(length, 3));
    const half = size / 2;
    const cx = bx - ux * size;
    const cy = by - uy * size;
    return { tip: [bx, by, cx - uy * half, cy + ux * half, cx + uy * half, cy - ux * half],
      x: bx - ux * size * 0.8, y: by - uy * size * 0.8 };
  },

  // Draw the line through points[start … end) up to (x, y) on anything with a canvas' methods.
  trace(to, p, start, end, x, y) {
    to.moveTo(p[start], p[start + 1]);
    for (let i = start + 2; i < end - 2; i += 2) {
      const last = i + 4 >= end;
      const [cx, cy] = [p[i], p[i + 1]];
      const [nx, ny] = last ? [x, y] : [p[i + 2], p[i + 3]];
      const before = Math.hypot(cx - p[i - 2], cy - p[i - 1]);
      const after = Math.hypot(nx - cx, ny - cy);
      const r = Math.min(ROUND, before / 2, after / 2);
      const a = before ? r / before : 0;
      const b = after ? r / after : 0;
      to.lineTo(cx + (p[i - 2] - cx) * a, cy + (p[i - 1] - cy) * a);
      to.quadraticCurveTo(cx, cy, cx + (nx - cx) * b, cy + (ny - cy) * b);
    }
    to.lineTo(x, y);
  },
};

// Collects the commands of a canvas as the text of an SVG path.
class PathText {
  constructor() { this.text = ''; }

  static number(v) { return String(Math.round(v * 100) / 100); }

  add(letter, ...values) { this.text += letter + values.map(PathText.number).join(' '); }

  moveTo(x, y) { this.add('M', x, y); }

  lineTo(x, y) { this.add('L', x, y); }

  quadraticCurveTo(cx, cy, x, y) { this.add('Q', cx, cy, x, y); }
}
