'use strict';
// Pointers on the stage: drag pans, the wheel and two fingers zoom, a click picks. Above the camera.

class Gestures {
  // `on` has hover(x, y), leave() and click(x, y, event), in pixels of the stage.
  constructor(stage, camera, on) {
    this.stage = stage;
    this.camera = camera;
    this.on = on;
    this.down = new Map();
    this.moved = 0;
    stage.addEventListener('pointerdown', (event) => this.press(event));
    stage.addEventListener('pointermove', (event) => this.move(event));
    stage.addEventListener('pointerup', (event) => this.release(event, true));
    stage.addEventListener('pointercancel', (event) => this.release(event, false));
    stage.addEventListener('pointerleave', () => on.leave());
    stage.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
  }

  place(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  press(event) {
    if (event.button !== 0) return;
    this.down.set(event.pointerId, this.place(event));
    this.moved = this.down.size > 1 ? 99 : 0;
    this.stage.setPointerCapture(event.pointerId);
  }

  move(event) {
    const [x, y] = this.place(event);
    const before = this.down.get(event.pointerId);
    if (!before) {
      this.on.hover(x, y);
      return;
    }
    const [dx, dy] = [x - before[0], y - before[1]];
    this.moved += Math.hypot(dx, dy);
    if (this.down.size === 2) this.pinch(event.pointerId, x, y);
    else if (this.moved > 4) {
      this.stage.classList.add('dragging');
      this.camera.pan(dx, dy);
    }
    this.down.set(event.pointerId, [x, y]);
  }

  // Two fingers: the picture follows both.
  pinch(id, x, y) {
    const other = [...this.down].find(([key]) => key !== id)[1];
    const before = this.down.get(id);
    const apart = Math.hypot(before[0] - other[0], before[1] - other[1]) || 1;
    const factor = Math.hypot(x - other[0], y - other[1]) / apart;
    this.camera.zoom(factor, other[0], other[1]);
  }

  release(event, clicked) {
    if (!this.down.delete(event.pointerId)) return;
    this.stage.classList.remove('dragging');
    if (clicked && this.moved <= 4) this.on.click(...this.place(event), event);
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    if (event.shiftKey) this.camera.pan(-(event.deltaX || event.deltaY) * lines, 0);
    else this.camera.zoom(Math.exp(-event.deltaY * lines * 0.0016), ...this.place(event));
  }
}
