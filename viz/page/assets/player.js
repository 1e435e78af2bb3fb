'use strict';
// The forward and the backward pass, stage after stage: play, pause, step and speed. The backward
// one is on from the outset where gradients were measured. Above the order; the app paints the stage.

class Player {
  constructor(root, order, on) {
    this.order = order;
    this.model = order.model;
    this.on = on; // changed(), column(c), say(text)
    this.at = -1; // before the first stage: nothing is dimmed
    this.timer = 0;
    for (const name of ['play', 'step-back', 'step', 'stop', 'pass', 'unit', 'speed']) {
      this[name.replace('-b', 'B')] = root.querySelector(`#${name}`);
    }
    this.stageCache = new Map();
    this.alive = this.reached();
    this.back = Boolean(this.alive);
    this.pass.value = this.back ? 'backward' : 'forward';
    this.pass.options[1].disabled = !this.alive;
    if (!this.alive) this.pass.options[1].textContent = 'Backward (not measured)';
    this.listen();
    this.draw();
  }

  listen() {
    this.play.addEventListener('click', () => this.toggle());
    this.step.addEventListener('click', () => this.move(1));
    this.stepBack.addEventListener('click', () => this.move(-1));
    this.stop.addEventListener('click', () => this.reset());
    this.speed.addEventListener('change', () => this.timer && this.run());
    const restart = () => {
      this.back = this.pass.value === 'backward';
      this.reset();
    };
    this.pass.addEventListener('change', restart);
    this.unit.addEventListener('change', restart);
  }

  // The boxes that a gradient comes to: those at an end of an edge with a norm or, where no norm is
  // known, of a wire that runs backward. Null for none at all.
  reached() {
    const { edgeNorm, edgeEnds, edgeCount, backward, wireEnds, count } = this.model;
    const found = new Uint8Array(count);
    const mark = (ends, k) => {
      for (const i of [ends[2 * k], ends[2 * k + 1]]) if (i >= 0) found[i] = 1;
    };
    for (let e = 0; edgeNorm && e < edgeCount; e += 1) if (edgeNorm[e] !== null) mark(edgeEnds, e);
    if (!found.includes(1)) backward.forEach((back, w) => back && mark(wireEnds, w));
    return found.includes(1) ? found : null;
  }

  get stages() {
    const key = `${this.back}/${this.unit.value}`;
    if (!this.stageCache.has(key)) {
      const stages = this.order.stages(this.back ? this.alive : null, this.unit.value === 'time');
      if (this.back) stages.reverse();
      const stage = new Int32Array(this.model.count).fill(-1);
      stages.forEach((boxes, k) => { for (const i of boxes) stage[i] = k; });
      this.stageCache.set(key, { stages, stage });
    }
    return this.stageCache.get(key);
  }

  // What the views have to know, null when no pass is on.
  get state() {
    return this.at < 0 ? null : { stage: this.stages.stage, at: this.at, back: this.back };
  }

  toggle() {
    if (this.timer) this.pause();
    else {
      if (this.at >= this.stages.stages.length - 1) this.at = -1;
      this.move(1);
      this.run();
    }
    this.draw();
  }

  run() {
    clearInterval(this.timer);
    this.timer = setInterval(() => {
      this.move(1);
      if (this.at >= this.stages.stages.length - 1) this.pause();
    }, 1000 / Number(this.speed.value));
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.draw();
  }

  reset() {
    this.pause();
    this.at = -1;
    this.draw();
    this.on.changed();
  }

  move(by) {
    const last = this.stages.stages.length - 1;
    this.at = Math.min(Math.max(this.at + by, -1), last);
    this.draw();
    this.on.changed();
    if (this.at < 0) return;
    const boxes = this.stages.stages[this.at];
    const column = Math.min(Math.max(this.model.column[boxes[0]], 0), this.model.bands.length - 1);
    if (column >= 0) this.on.column(column);
    if (!this.timer) this.on.say(this.sentence(boxes));
  }

  sentence(boxes) {
    const names = boxes.slice(0, 3).map((i) => Card.where(this.model, i)).join('; ');
    const more = boxes.length > 3 ? ` and ${Say.count(boxes.length - 3)} more` : '';
    return `${this.back ? 'backward' : 'forward'}, stage ${this.at + 1} of ${this.stages.stages.length}: ${names}${more}`;
  }

  // A pass that is on goes to the last stage of a column of time.
  scrub(column) {
    if (this.at < 0) return;
    const { stages } = this.stages;
    for (let k = stages.length - 1; k >= 0; k -= 1) {
      if (this.model.column[stages[k][0]] === column) {
        this.at = k;
        break;
      }
    }
    this.draw();
    this.on.changed();
  }

  draw() {
    const running = Boolean(this.timer);
    this.play.classList.toggle('running', running);
    this.play.setAttribute('aria-label', running ? 'Pause' : 'Play');
    this.play.title = running ? 'Pause (space)' : 'Play (space)';
    this.stepBack.disabled = this.at < 0;
    this.stop.disabled = this.at < 0;
    this.step.disabled = this.at >= this.stages.stages.length - 1;
    const text = this.at < 0 ? '' : `${Say.count(this.at + 1)} / ${Say.count(this.stages.stages.length)}`;
    document.getElementById('stage-of').textContent = text;
  }
}
