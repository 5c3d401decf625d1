/* The card of one product. */

import { age } from "./age.js";
import { button, drawing, make } from "./dom.js";
import { frame } from "./photos.js";
import { first, money, score } from "./words.js";

export const keyOf = (product) => JSON.stringify([product.tenant, product.id]);

/* Equal for two states of a product that look the same on a card. */
export const look = (product) => JSON.stringify({ ...product, score: 0, age_s: 0, born: 0 });

/* `acts` has the actions of the buttons: open, like, mix. */
export function card(product, acts) {
  const name = product.title || product.id;
  const title = button(name, "title", () => acts.open(product));
  const said = [first(product.attributes.brand), first(product.attributes.category)].filter(Boolean).join(" · ");
  const stock = product.available === null ? null
    : make("span", { className: product.available ? "yes" : "no", textContent: product.available ? "In stock" : "Sold out" });
  const picture = frame(product);
  picture.append(make("span", { className: "rank", hidden: true }), actions(product, name, acts));
  const node = make("li", { className: product.available === false ? "card gone" : "card" },
    picture,
    make("h3", { title: name }, title),
    make("p", { className: "said", textContent: said }),
    make("p", { className: "offer" }, make("b", { textContent: money(product) }), stock),
    make("p", { className: "foot" }, age(product) ?? make("span"), make("span", { className: "score", hidden: true })));
  if (product.variants?.length) node.querySelector(".offer").append(make("small", { textContent: `+${product.variants.length} more` }));
  // The photo is only a larger target for the mouse; the title is the accessible control.
  picture.addEventListener("click", (event) => { if (!event.target.closest("button")) acts.open(product); });
  return node;
}

function actions(product, name, acts) {
  const like = button("Like this", "like", () => acts.like(product), `Find products like ${name}`);
  const more = button("", "mix", () => acts.mix(product, 0.5), `More like ${name}: add it to the mix`);
  const less = button("", "mix", () => acts.mix(product, -0.5), `Less like ${name}: add it to the mix with a negative weight`);
  more.append(drawing("M10 4v12M4 10h12"));
  less.append(drawing("M4 10h12"));
  more.title = "More like this, in a mix";
  less.title = "Less like this, in a mix";
  return make("div", { className: "acts" }, like, more, less);
}

/* `best` is the highest score of the result; the bar below a score shows its share of it. */
export function setScore(node, value, best) {
  const place = node.querySelector(".score");
  if (value === undefined || value === null) return;
  place.hidden = false;
  if (place.textContent !== score(value)) place.textContent = score(value);
  place.title = "Score: higher is nearer";
  place.style.setProperty("--share", best > 0 ? Math.max(0, Math.min(1, value / best)) : 0);
}

/* Shows the rank of the same product in the other result when two are compared. `there` counts from 1; 0: not there. */
export function setRank(node, here, there, name) {
  const place = node.querySelector(".rank");
  place.hidden = there === null;
  if (there === null) return;
  place.textContent = there ? (there === here ? `${here} · same` : `${here} · there ${there}`) : `${here} · only here`;
  place.classList.toggle("alone", !there);
  place.title = there ? `Number ${here} here, number ${there} by ${name}` : `Not found by ${name}`;
}
