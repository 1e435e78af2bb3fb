'use strict';
// From box to box by key: along the order of the passes, and to the nearest in a direction. Above
// the app's picking, below the keyboard.

class Walk {
  constructor(app) { this.app = app; }

  go(i) {
    this.app.pick(i, true);
    this.app.cursor.focus({ preventScroll: true });
  }

  // The next box in the order of the passes that is not folded away.
  along(by) {
    const { app } = this;
    const { order, place } = app.order;
    if (!order.length) return;
    const { picked } = app.state;
    let next = picked < 0 ? 0 : place[picked] + by;
    while (app.geometry.boxHidden[order[next]]) next += by;
    if (next >= 0 && next < order.length) this.go(order[next]);
  }

  // The nearest box to the left, right, above or below.
  neighbour(dx, dy) {
    const { app } = this;
    const { rect, boxHidden } = app.geometry;
    const { picked } = app.state;
    if (picked < 0) {
      this.along(1);
      return;
    }
    const middle = (i) => [rect[4 * i] + rect[4 * i + 2] / 2, rect[4 * i + 1] + rect[4 * i + 3] / 2];
    const [x, y] = middle(picked);
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < app.model.count; i += 1) {
      const [ox, oy] = middle(i);
      const ahead = (ox - x) * dx + (oy - y) * dy;
      const aside = Math.abs((ox - x) * dy) + Math.abs((oy - y) * dx);
      const cost = ahead + 2.5 * aside;
      if (!boxHidden[i] && i !== picked && ahead > 1 && cost < least) {
        least = cost;
        best = i;
      }
    }
    if (best >= 0) this.go(best);
  }

  ends(last) {
    const { order } = this.app.order;
    if (order.length) this.go(order[last ? order.length - 1 : 0]);
  }
}
