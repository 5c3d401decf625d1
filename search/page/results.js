/* A list of products with arrow-key navigation and updates in place. */

import { card, keyOf, look, setScore } from "./card.js";
import { $, arrange, make } from "./dom.js";

export class Results {
  constructor(list, acts) {
    this.list = list;
    this.acts = acts;
    this.cards = new Map();
    list.addEventListener("keydown", (event) => this.walk(event));
    list.addEventListener("focusin", (event) => this.hold(event.target.closest(".card")));
  }

  show(products) {
    const now = new Map(), best = Math.max(0, ...products.map((product) => product.score ?? 0));
    for (const product of products) {
      const held = this.cards.get(keyOf(product)), sign = look(product);
      const entry = held?.sign === sign ? held : this.renew(held, product, sign);
      entry.product = product;
      setScore(entry.node, product.score, best);
      now.set(keyOf(product), entry);
    }
    this.cards = now;
    arrange(this.list, [...now.values()].map((entry) => entry.node));
    this.hold(this.list.querySelector(".card.held") ?? this.list.firstElementChild);
  }

  /* Marks the card of a changed product, which keeps its place. */
  update(product) {
    const held = this.cards.get(keyOf(product));
    if (!held) return;
    const next = { ...held.product, ...product, score: held.product.score };
    if (look(next) === held.sign) return;
    const entry = this.renew(held, next, look(next));
    entry.product = next;
    setScore(entry.node, next.score, Math.max(0, ...[...this.cards.values()].map((each) => each.product.score ?? 0)));
    entry.node.classList.add("changed");
    this.cards.set(keyOf(product), entry);
    arrange(this.list, [...this.cards.values()].map((each) => each.node));
  }

  /* A new card. If it replaces a card it takes over the focus. */
  renew(held, product, sign) {
    const node = card(product, this.acts);
    if (held?.node.classList.contains("held")) node.classList.add("held");
    if (held?.node.contains(document.activeElement)) {
      const which = [...held.node.querySelectorAll("button")].indexOf(document.activeElement);
      held.node.replaceWith(node);
      [...node.querySelectorAll("button")][which]?.focus({ preventScroll: true });
    }
    return { node, sign };
  }

  clear() {
    this.cards = new Map();
    this.list.replaceChildren();
  }

  wait(count) {
    if (this.list.children.length) return;
    const bone = () => make("li", { className: "bone", ariaHidden: "true" }, make("div", { className: "photo" }), make("p"), make("p"));
    this.list.replaceChildren(...Array.from({ length: count }, bone));
  }

  /* Only one card at a time is reachable with the Tab key. */
  hold(node) {
    if (!node?.matches(".card")) return;
    for (const each of this.list.children) {
      each.classList.toggle("held", each === node);
      for (const control of each.querySelectorAll("button")) control.tabIndex = each === node ? 0 : -1;
    }
  }

  focus(node = this.list.querySelector(".card.held")) {
    node?.querySelector(".title").focus();
    node?.scrollIntoView({ block: "nearest" });
  }

  walk(event) {
    const here = event.target.closest(".card"), all = [...this.list.children];
    if (!here || event.altKey || event.ctrlKey || event.metaKey) return;
    const at = all.indexOf(here), columns = all.findIndex((node) => node.offsetTop > all[0].offsetTop);
    const row = columns < 0 ? Infinity : columns;
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: row < Infinity ? Math.min(at + row, all.length - 1) : -1, ArrowUp: at - row, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Escape" || (event.key === "ArrowUp" && next < 0)) $("text").focus();
    else if (next === undefined || !all[next]) return;
    else this.focus(all[next]);
    event.preventDefault();
  }
}
