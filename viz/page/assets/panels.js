'use strict';
// The panels that the toolbar opens, one at a time, and the legend and the colours. Above nothing;
// the app tells it what to do when one opens.

class Panels {
  constructor(opened) {
    this.buttons = [...document.querySelectorAll('button[data-panel]')];
    this.opened = opened;
    for (const button of this.buttons) {
      button.addEventListener('click', () => this.toggle(button.dataset.panel));
    }
    for (const close of document.querySelectorAll('.panel .close')) {
      close.addEventListener('click', () => this.close(true));
    }
  }

  get open() {
    const own = this.buttons.find((button) => button.getAttribute('aria-expanded') === 'true');
    return own ? own.dataset.panel : '';
  }

  toggle(name) { this.show(this.open === name ? '' : name); }

  show(name) {
    for (const button of this.buttons) {
      const own = button.dataset.panel === name;
      button.setAttribute('aria-expanded', String(own));
      document.getElementById(button.dataset.panel).hidden = !own;
    }
    if (name) this.opened(name);
  }

  // Close what is open and go back to the button that opened it.
  close(back) {
    const { open } = this;
    this.show('');
    if (open && back) this.buttons.find((button) => button.dataset.panel === open).focus();
    return Boolean(open);
  }
}

// Light and dark: what the system says, until the switch says otherwise.
class Theme {
  constructor(button, changed) {
    this.system = window.matchMedia('(prefers-color-scheme: dark)');
    this.choice = null;
    this.button = button;
    this.changed = changed;
    button.addEventListener('click', () => {
      this.choice = !this.dark;
      this.apply();
    });
    this.system.addEventListener('change', () => this.apply());
  }

  get dark() { return this.choice === null ? this.system.matches : this.choice; }

  apply() {
    document.documentElement.dataset.theme = this.dark ? 'dark' : 'light';
    this.button.setAttribute('aria-pressed', String(this.dark));
    this.changed(this.dark);
  }
}
