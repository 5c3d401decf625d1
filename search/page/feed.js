/* Products as they are indexed, newest first: a strip beside a search, the whole page before one. */

import { live } from "./api.js";
import { keyOf } from "./card.js";
import { $ } from "./dom.js";
import { Results } from "./results.js";

const SHOWN = 24, AGAIN = 3000, GATHER = 150;

export class Feed {
  /* `arrived` is told of every product that comes. */
  constructor(acts, arrived) {
    this.results = new Results($("feed"), acts);
    this.arrived = arrived;
    this.products = new Map();
    this.paused = false;
    this.newest = 0;
    this.first = true;
    $("pause").addEventListener("click", () => this.pause());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.draw(); });
  }

  /* For as long as the page is there. */
  async listen() {
    for (;;) {
      try {
        for await (const product of live(this.newest)) this.take(product);
      } catch { /* it is tried again; the search says what is wrong */ }
      await new Promise((done) => setTimeout(done, AGAIN));
    }
  }

  take(product) {
    this.newest = Math.max(this.newest, product.event_time ?? 0);
    this.products.delete(keyOf(product));
    this.products.set(keyOf(product), product);
    while (this.products.size > SHOWN) this.products.delete(this.products.keys().next().value);
    this.arrived(product);
    this.timer ??= setTimeout(() => { this.timer = null; this.draw(); }, GATHER);
  }

  pause() {
    this.paused = !this.paused;
    $("pause").ariaPressed = String(this.paused);
    $("pause").textContent = this.paused ? "Go on" : "Pause";
    $("live").classList.toggle("paused", this.paused);
    this.draw();
  }

  draw() {
    // Nothing moves under a pointer or a focus.
    if (this.paused || document.hidden || $("feed").matches(":hover, :focus-within")) {
      if (!this.paused) this.timer ??= setTimeout(() => { this.timer = null; this.draw(); }, 1000);
      return;
    }
    const before = new Set(this.results.cards.keys());
    this.results.show([...this.products.values()].reverse());
    $("live").hidden = !this.products.size;
    if (!this.first) for (const [key, { node }] of this.results.cards) node.classList.toggle("arrived", !before.has(key));
    this.first = this.first && !this.products.size;
  }
}
