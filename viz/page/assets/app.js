'use strict';
// The page as a whole: reads the data, builds the parts and carries news between them. Above all.

const STILL = { picked: -1, pickedWire: -1, hits: [], hit: -1, paths: null, play: null };

class App {
  constructor() {
    const data = JSON.parse(document.getElementById('data').textContent);
    this.model = new Model(data);
    this.state = { ...STILL };
    document.documentElement.dataset.ready = 'yes'; // from here on the page has its full size
    this.stage = document.getElementById('stage');
    this.cursor = document.getElementById('cursor');
    this.live = document.getElementById('live');
    this.folding = new Folding(this.model);
    this.marks = new Marks(this.model);
    const sheet = document.querySelector('.sheet');
    this.view = data.mode === 'svg' ? new SvgView(sheet, this.model) : new CanvasView(sheet, this.model);
    this.ruler = new Ruler(document.getElementById('ruler'), this.model);
    this.camera = new Camera(this.stage, (camera) => this.look(camera));
    this.panels = new Panels((name) => this.opened(name));
    this.buildGraphParts();
    this.listen();
    this.layout();
    this.camera.home = this.home();
    this.camera.resize();
    this.theme = new Theme(document.getElementById('theme'), (dark) => {
      this.view.theme(dark);
      this.ruler.draw();
    });
    this.theme.apply();
  }

  // What only pictures with boxes have.
  buildGraphParts() {
    const { model } = this;
    const root = (name) => document.getElementById(name);
    this.order = new Order(model);
    this.search = new Search(model);
    this.searchBox = model.count ? root('search') : null;
    this.card = new Card(root('card'), model);
    const say = (text) => this.say(text);
    this.list = new List(root('list-panel'), model, (i) => this.pick(i, true));
    this.list.set(Array.from(this.order.order), 'Boxes');
    this.foldPanel = new FoldPanel(root('fold-panel'), this.folding, () => this.layout(), say);
    this.headings = new Headings(this);
    this.pathPanel = new PathPanel(root('path-panel'), this.order, () => this.refresh(), say);
    this.player = new Player(root('player'), this.order, { say, changed: () => this.refresh(),
      column: (c) => this.showColumn(c) });
    this.dock = new Dock(root('dock'), model, (i) => this.pick(i, true));
    this.overview = new Overview(root('overview'), model, { go: (t, glide) => this.goTo(t, glide) });
    this.walk = new Walk(this);
    this.keyboard = new Keyboard(this);
    document.querySelector('#legend-panel .playing').hidden = !this.card.growth.weights.size;
    root('legend-toggle').hidden = !document.querySelector('#legend-panel :is(ul:not([hidden]) > li, p)');
  }

  listen() {
    const on = (name, event, act) => document.getElementById(name).addEventListener(event, act);
    on('zoom-in', 'click', () => this.camera.zoom(1.25));
    on('zoom-out', 'click', () => this.camera.zoom(0.8));
    on('zoom-fit', 'click', () => this.camera.fit());
    on('search', 'input', () => this.query());
    on('search', 'keydown', (event) => {
      if (event.key === 'Enter') this.nextHit(event.shiftKey ? -1 : 1);
    });
    on('hit-next', 'click', () => this.nextHit(1));
    on('hit-before', 'click', () => this.nextHit(-1));
    on('card-close', 'click', () => this.unpick());
    on('path-from', 'click', () => this.choosePath('start'));
    on('path-to', 'click', () => this.choosePath('end'));
    this.cursor.addEventListener('focus', () => (this.state.picked < 0 ? this.walk.along(1) : this.placeCursor()));
    this.gestures = new Gestures(this.stage, this.camera, {
      hover: (x, y) => this.hover(x, y),
      leave: () => this.showCard(),
      click: (x, y, event) => this.click(x, y, event),
    });
    new ResizeObserver(() => this.resize()).observe(this.stage);
  }

  // Also when a frame that was hidden is shown: before that nothing had a size.
  resize() {
    this.view.resize();
    this.ruler.draw();
    this.overview.draw();
    this.camera.resize();
  }

  // Where the gradients begin: the boxes of the loss, or the last of all.
  home() {
    const { stages } = this.player.stages;
    const boxes = this.player.back ? stages[0] : stages[stages.length - 1];
    if (!boxes || !boxes.length) return null;
    const i = boxes[boxes.length - 1];
    this.overview.set(this.overview.timeline.ofColumn(this.model.column[i]));
    return Array.from(this.geometry.rect.subarray(4 * i, 4 * i + 4));
  }

  say(text) { this.live.textContent = text; }

  layout() {
    this.geometry = this.folding.geometry();
    this.spatial = new Spatial(this.model, this.geometry);
    this.view.layout(this.geometry, this.spatial);
    this.ruler.layout(this.geometry);
    this.overview.layout(this.geometry);
    this.camera.bounds = this.geometry.bounds;
    this.camera.pan(0, 0);
    this.refresh();
  }

  look(camera) {
    this.view.camera(camera);
    this.ruler.camera(camera);
    this.overview.camera(camera);
    this.dock.draw(this.player.state, this.geometry, camera);
    this.placeCursor();
    document.getElementById('zoom-now').textContent = camera.k < 0.005 ? '< 1%'
      : `${Math.round(camera.k * 100)}%`;
  }

  refresh() {
    this.state.paths = this.pathPanel.paths && this.pathPanel.paths.count ? this.pathPanel.paths : null;
    this.state.play = this.player.state;
    this.marks.work({ ...this.state, back: this.player.back });
    this.view.paint(this.marks, this.state.play);
    this.dock.draw(this.state.play, this.geometry, this.camera);
  }

  // The focus ring over the box that is picked.
  placeCursor() {
    const { picked } = this.state;
    const { cursor, camera, geometry } = this;
    if (picked < 0 || !geometry || geometry.boxHidden[picked]) {
      cursor.style.transform = 'translate(-99px,-99px)';
      return;
    }
    const [x, y, w, h] = geometry.rect.subarray(4 * picked, 4 * picked + 4);
    cursor.style.width = `${w * camera.k + 8}px`;
    cursor.style.height = `${h * camera.k + 8}px`;
    cursor.style.transform = `translate(${x * camera.k + camera.x - 4}px,${y * camera.k + camera.y - 4}px)`;
  }

  // Pick a box: mark it, show its card, say it; `show` brings it into view.
  pick(i, show) {
    this.state.picked = i;
    this.state.pickedWire = -1;
    if (this.geometry.boxHidden[i]) {
      this.folding.reveal(i);
      this.foldPanel.draw();
      this.layout();
    }
    const sentence = this.card.sentence(i, this.order);
    this.cursor.setAttribute('aria-label', sentence);
    this.say(sentence);
    const { column } = this.model;
    if (column[i] >= 0 && column[i] < this.model.bands.length) {
      this.overview.set(this.overview.timeline.ofColumn(column[i]));
    }
    this.showCard();
    const covered = this.covered();
    if (show || covered[1]) this.camera.show(this.geometry.rect.subarray(4 * i, 4 * i + 4), covered);
    this.placeCursor();
    this.refresh();
  }

  unpick() {
    this.state.picked = -1;
    this.state.pickedWire = -1;
    this.card.hide();
    this.placeCursor();
    this.refresh();
  }

  showCard() {
    const { picked, pickedWire } = this.state;
    if (picked >= 0) this.card.show({ box: picked }, true);
    else if (pickedWire >= 0) this.card.show({ wire: pickedWire }, true);
    else this.card.hide();
  }

  // How much of the stage the card covers: a column at the right or, on a phone, the foot.
  covered() {
    const { offsetWidth, offsetHeight } = this.card.root;
    const room = this.camera.size[0] - offsetWidth;
    return room < 120 ? [0, offsetHeight] : [offsetWidth, 0];
  }

  pin(i) {
    this.pick(i, true);
    document.getElementById('path-from').focus();
  }

  hover(x, y) {
    const heading = this.ruler.at(x, y);
    const found = heading ? null : this.find(x, y);
    this.stage.classList.toggle('over', Boolean(found || heading));
    if (found) this.card.show(found, found.box === this.state.picked);
    else this.showCard();
  }

  find(x, y) {
    const reach = Math.min(5 / this.camera.k, 40);
    return this.spatial.at(...this.camera.world(x, y), reach);
  }

  click(x, y, event) {
    if (this.headings.click(x, y)) return;
    const found = this.find(x, y);
    if (!found) this.unpick();
    else if (found.wire !== undefined) {
      this.unpick();
      this.state.pickedWire = found.wire;
      this.say(this.card.wireTitle(found.wire));
      this.showCard();
      this.refresh();
    } else this.pickByHand(found.box, event.shiftKey);
  }

  // With shift, or while the panel of paths is open, a click chooses an end of paths.
  pickByHand(i, shift) {
    if (shift && this.state.picked >= 0 && this.pathPanel.from < 0) this.pathPanel.start(this.state.picked);
    this.pick(i, false);
    if (shift || this.panels.open === 'path-panel') {
      this.pathPanel.add(i);
      this.panels.show('path-panel');
    }
  }

  choosePath(end) {
    this.pathPanel[end](this.state.picked);
    this.panels.show('path-panel');
  }

  query() {
    this.state.hits = this.search.find(this.searchBox.value, this.order.order);
    this.state.hit = -1;
    const asked = this.searchBox.value.trim() !== '';
    this.list.set(asked ? this.state.hits : Array.from(this.order.order), asked ? 'Hits' : 'Boxes');
    this.countHits();
    if (asked) this.say(Say.some(this.state.hits.length, 'hit'));
    this.refresh();
  }

  countHits() {
    const { hits, hit } = this.state;
    const asked = this.searchBox.value.trim() !== '';
    const at = hits.indexOf(hit) + 1;
    document.getElementById('hits').textContent = !asked ? '' : `${Say.count(at)} / ${Say.count(hits.length)}`;
    for (const name of ['hit-next', 'hit-before']) {
      document.getElementById(name).disabled = !hits.length;
    }
  }

  nextHit(by) {
    const { hits, hit } = this.state;
    if (!hits.length) return;
    const at = hits.indexOf(hit);
    const next = at < 0 ? (by > 0 ? 0 : hits.length - 1) : (at + by + hits.length) % hits.length;
    this.state.hit = hits[next];
    this.countHits();
    this.pick(hits[next], true);
  }

  opened(name) {
    if (name === 'list-panel') this.list.draw();
  }

  // Bring a column into view, and mark it on both axes of time.
  showColumn(column) {
    const band = this.geometry.bands[column];
    this.ruler.set('current', column);
    this.overview.set(this.overview.timeline.ofColumn(column));
    if (!band || band.hidden) return;
    const [left, right] = [band.x, band.x + band.w].map((x) => x * this.camera.k + this.camera.x);
    if (left < 10 || right > this.camera.size[0] - 10) this.centre(band.x + band.w / 2, true);
  }

  // Go to a step of the overview, also to one that the picture leaves out.
  goTo(t, glide) {
    const { timeline } = this.overview;
    this.ruler.set('current', timeline.shows(t) ? timeline.column(t) : -1);
    this.player.scrub(timeline.column(t));
    this.centre(timeline.x(t), glide);
  }

  centre(x, glide) {
    const { camera } = this;
    camera.fly(camera.size[0] / 2 - x * camera.k, camera.y, camera.k, glide);
  }

  // Leave what is open, the innermost first.
  escape() {
    if (this.ruler.chosen >= 0) this.headings.endRange();
    else if (this.panels.close(true)) return;
    else if (this.player.at >= 0) this.player.reset();
    else if (this.pathPanel.from >= 0) this.pathPanel.clear();
    else this.unpick();
  }
}

const app = new App();
