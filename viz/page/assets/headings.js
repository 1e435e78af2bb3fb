'use strict';
// Clicks on the headings of columns, which choose a range to fold, and on what is folded, which
// unfold it. Above the ruler and the panel of folding.

class Headings {
  constructor(app) { this.app = app; }

  // Whether a click on the stage was one on a heading.
  click(px, py) {
    const found = this.app.ruler.at(px, py) || this.gapAt(px, py);
    if (found) this.act(found);
    return Boolean(found);
  }

  // The folded column or row at a place of the stage.
  gapAt(px, py) {
    const { camera, geometry } = this.app;
    const [x, y] = camera.world(px, py);
    const within = (r) => x >= r.x && x <= r.x + r.w && y >= r.y && y <= r.y + r.h;
    const gap = geometry.gaps.find(within);
    if (gap) return { column: gap.column, gap: true };
    const seam = geometry.seams.find(within);
    return seam ? { layer: seam.name } : null;
  }

  act({ column, gap, layer }) {
    const { app } = this;
    const { ruler, foldPanel } = app;
    if (layer !== undefined) foldPanel.foldLayer(layer, false);
    else if (gap) foldPanel.unfold(column);
    else if (ruler.chosen < 0) {
      ruler.set('chosen', column);
      app.say(`${foldPanel.name(column)} chosen. Click another heading to fold up to it, `
        + 'the same one to fold it alone, Escape to leave it.');
      document.body.classList.add('folding');
    } else {
      const from = ruler.chosen;
      this.endRange();
      foldPanel.fold(from, column);
    }
  }

  endRange() {
    this.app.ruler.set('chosen', -1);
    document.body.classList.remove('folding');
  }
}
