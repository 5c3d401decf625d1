/* Shows the age of a product's newest event, and updates it every second. */

import { make } from "./dom.js";
import { ago } from "./words.js";

const FRESH = 60;

export function age(product) {
  if (!product.event_time) return null;
  const at = new Date(product.event_time);
  const node = make("time", { className: "age", dateTime: at.toISOString(), title: `Its newest event: ${at.toLocaleString()}` });
  node.dataset.born = product.born;
  grow(node);
  return node;
}

function grow(node) {
  const seconds = (performance.now() - node.dataset.born) / 1000, text = ago(seconds);
  if (node.textContent !== text) node.textContent = text;
  node.classList.toggle("fresh", seconds < FRESH);
}

setInterval(() => { if (!document.hidden) document.querySelectorAll("time.age").forEach(grow); }, 1000);
