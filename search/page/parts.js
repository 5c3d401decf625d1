/* The parts of a mix as rows with a slider each, below the search box. */

import { $, arrange, button, make } from "./dom.js";
import { frame, show } from "./photos.js";
import { dropPart, query } from "./query.js";

const rows = new Map();

export function drawParts(changed) {
  const text = { number: 0, typed: true };
  const all = query.parts.length && query.text ? [text, ...query.parts] : query.parts;
  const kept = new Map();
  for (const part of all) kept.set(part.number, rows.get(part.number) ?? row(part, changed));
  rows.clear();
  for (const [number, node] of kept) rows.set(number, node);
  if (kept.has(0)) label(kept.get(0), query.text);
  $("parts").hidden = !all.length;
  $("parts").classList.toggle("alone", all.length < 2);
  arrange($("parts"), [...kept.values()]);
}

function label(node, words) {
  node.querySelector(".what").textContent = `“${words}”`;
  node.querySelector("input")?.setAttribute("aria-label", `How much “${words}” counts`);
}

function named(part) {
  if (part.product) return part.product.title || part.product.id;
  return part.words ?? part.name ?? "A photo";
}

function row(part, changed) {
  const holder = part.typed ? query : part;
  const picture = part.product ? frame(part.product) : part.preview ? preview(part) : make("div", { className: "photo words", textContent: "“ ”", ariaHidden: "true" });
  const slider = make("input", { type: "range", min: -1, max: 1, step: 0.1, value: holder.weight, ariaLabel: `How much ${named(part)} counts` });
  const said = make("output");
  const node = make("li", { className: "part" }, picture, make("span", { className: "what", textContent: part.words ? `“${part.words}”` : named(part) }), slider, said);
  if (!part.typed) node.append(button("×", "remove", () => remove(part, changed), `Take ${named(part)} out`));
  const tell = () => {
    said.textContent = holder.weight > 0 ? `+${holder.weight.toFixed(1)}` : holder.weight.toFixed(1).replace("-", "−");
    node.classList.toggle("against", holder.weight < 0);
    const at = 50 + 50 * holder.weight;
    slider.style.setProperty("--from", `${Math.min(50, at)}%`);
    slider.style.setProperty("--to", `${Math.max(50, at)}%`);
    slider.ariaValueText = holder.weight < 0 ? `${said.textContent}, unlike this` : said.textContent;
  };
  slider.addEventListener("input", () => { holder.weight = slider.valueAsNumber; tell(); changed(); });
  tell();
  return node;
}

function preview(part) {
  const image = make("img", { alt: "" });
  image.addEventListener("error", () => image.remove());
  show(image, part.preview);
  return make("div", { className: "photo there" }, image);
}

function remove(part, changed) {
  dropPart(part);
  if (!query.parts.length) query.weight = 1;
  rows.delete(0);  // its slider says the old weight
  $("text").focus();
  changed();
}
