'use strict';
// How each box and wire is to be shown right now: dimmed, a hit, on a path, lit by a pass. One byte
// each, worked out from the state of the page; the views paint it. Between the panels and the views.

const DIM = 1;
const HIT = 2;
const ON = 4; // of the strongest path
const NOW = 8; // the stage that a pass is at
const PICKED = 16;
const BACK = 32; // lit by the backward pass
const PALE = 64; // drawn pale from the outset
const ASIDE = 128; // of the pass that is not chosen
const STRONG = HIT | ON | NOW | PICKED; // what stands out

class Marks {
  constructor(model) {
    this.model = model;
    this.box = new Uint8Array(model.count);
    this.wire = new Uint8Array(model.wireCount);
    this.busy = false; // whether anything is dimmed
  }

  work({ picked, pickedWire, hits, hit, paths, play, back }) {
    const { box, wire } = this;
    box.fill(0);
    wire.fill(0);
    this.busy = Boolean(paths || play);
    this.back = Boolean(back) && !this.busy; // whether the forward pass stands back
    if (!this.busy) this.markPale();
    if (this.back) this.markQuiet();
    if (paths) this.markPaths(paths);
    if (play) this.markPlay(play);
    for (const i of hits) box[i] |= HIT;
    if (hit >= 0) box[hit] |= HIT;
    if (picked >= 0) box[picked] = (box[picked] | PICKED) & ~DIM;
    if (pickedWire >= 0) wire[pickedWire] = (wire[pickedWire] | PICKED) & ~DIM;
  }

  // What the picture itself draws pale, unless a path or a pass decides.
  markPale() {
    const { boxPale, wirePale } = this.model;
    for (let i = 0; i < boxPale.length; i += 1) if (boxPale[i]) this.box[i] |= PALE;
    for (let w = 0; w < wirePale.length; w += 1) if (wirePale[w]) this.wire[w] |= PALE;
  }

  // While the backward pass is looked at the wires of the forward one stand back.
  markQuiet() {
    const { backward } = this.model;
    for (let w = 0; w < backward.length; w += 1) if (!backward[w]) this.wire[w] |= ASIDE;
  }

  markPaths({ on, onEdge, strongest, from, to }) {
    const { box, wire, model } = this;
    const best = new Set(strongest ? strongest.edges : []);
    for (let i = 0; i < model.count; i += 1) if (!on[i]) box[i] |= DIM;
    for (let w = 0; w < model.wireCount; w += 1) {
      const e = model.wireEdge[w];
      if (e < 0 || !onEdge[e]) wire[w] |= DIM;
      else if (best.has(e)) wire[w] |= ON;
    }
    for (const i of strongest ? strongest.boxes : [from, to]) {
      box[i] = (box[i] | ON) & ~DIM;
    }
  }

  // `stage` says at which stage a box lights up, -1 for never. A weight has its turn at the end, but
  // what a step adds to its gradient comes to it with that step.
  markPlay({ stage, at, back }) {
    const { box, wire, model } = this;
    for (let i = 0; i < model.count; i += 1) {
      if (stage[i] < 0 || stage[i] > at) box[i] |= DIM;
      else if (stage[i] === at) box[i] |= back ? NOW | BACK : NOW;
    }
    for (let w = 0; w < model.wireCount; w += 1) {
      const source = model.wireEnds[2 * w];
      const target = model.wireEnds[2 * w + 1];
      const own = source >= 0 && target >= 0 && Boolean(model.backward[w]) === back;
      const adds = own && back && model.toWeight[w];
      const lit = own && stage[source] >= 0 && stage[target] >= 0
        && stage[source] <= at && (stage[target] <= at || adds);
      if (lit && adds) box[target] &= ~DIM;
      if (!lit) wire[w] |= DIM;
      else if (stage[target] === at) wire[w] |= back ? NOW | BACK : NOW;
    }
  }
}
