'use strict';
// Keys on the stage and on the box that is in focus there. The list of keys in the help panel says
// the same. Above the app's actions.

const PAN = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

class Keyboard {
  constructor(app) {
    this.app = app;
    app.stage.addEventListener('keydown', (event) => this.onStage(event));
    document.addEventListener('keydown', (event) => this.anywhere(event));
  }

  onStage(event) {
    const { app } = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onBox = event.target === app.cursor;
    const way = PAN[event.key];
    if (way && (onBox || event.shiftKey)) app.walk.neighbour(-way[0], -way[1]);
    else if (way) app.camera.pan(way[0] * 70, way[1] * 70);
    else if (!this.command(event.key, onBox)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  command(key, onBox) {
    const { app } = this;
    const commands = {
      '+': () => app.camera.zoom(1.25),
      '=': () => app.camera.zoom(1.25),
      '-': () => app.camera.zoom(0.8),
      0: () => app.camera.fit(),
      Home: () => app.walk.ends(0),
      End: () => app.walk.ends(1),
      n: () => app.walk.along(1),
      p: () => app.walk.along(-1),
      a: () => onBox && app.pathPanel.start(app.state.picked),
      b: () => onBox && app.pathPanel.end(app.state.picked),
      Enter: () => (onBox ? app.pin(app.state.picked) : app.walk.along(1)),
      ' ': () => app.player.toggle(),
      '.': () => app.player.move(1),
      ',': () => app.player.move(-1),
    };
    if (!Object.hasOwn(commands, key)) return false;
    commands[key]();
    return true;
  }

  anywhere(event) {
    const { app } = this;
    const typing = event.target.closest('input, select, textarea');
    if (event.key === 'Escape') app.escape();
    else if (event.key === '/' && !typing && app.searchBox) {
      event.preventDefault();
      app.searchBox.focus();
    }
  }
}
