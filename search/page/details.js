/* The dialog with all fields of one product. */

import { age } from "./age.js";
import { productPath } from "./api.js";
import { $, button, make } from "./dom.js";
import { frame } from "./photos.js";
import { money, number, sentence } from "./words.js";

export function open(product, acts) {
  const dialog = $("details");
  const act = (text, className, press) => button(text, className, () => { dialog.close(); press(); });
  const rows = Object.entries(product.attributes).map(([name, value]) => [sentence(name.replaceAll("_", " ")), [value].flat().join(", ")]);
  rows.push(["Id", product.id], ["Shop", product.tenant]);
  if (product.image_reason) rows.push(["Photo", product.image_reason]);
  const version = (value) => (value === null || value === undefined ? "" : String(value));
  rows.push(["Content version", version(product.content_version)], ["Offer version", version(product.offer_version)]);
  const when = age(product);
  const stock = product.available === null ? null
    : make("span", { className: product.available ? "yes" : "no", textContent: product.available ? "In stock" : "Sold out" });
  dialog.replaceChildren(
    make("div", { className: "pictures" }, ...(product.images.length ? product.images.slice(0, 6) : [""]).map((_, n) => frame(product, n, n ? `Photo ${number(n + 1)}` : product.title))),
    make("div", { className: "about" },
      button("×", "close", () => dialog.close(), "Close"),
      make("h2", { id: "details-title", textContent: product.title || product.id }),
      make("p", { className: "offer" }, make("b", { textContent: money(product) }), stock),
      when && make("p", { className: "small" }, "Newest event ", when),
      make("dl", {}, ...rows.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })])),
      make("div", { className: "row" },
        act("Like this", "main", () => acts.like(product)),
        act("More like this", "plain", () => acts.mix(product, 0.5)),
        act("Less like this", "plain", () => acts.mix(product, -0.5)),
        make("a", { className: "small", href: `${productPath(product.id)}?tenant=${encodeURIComponent(product.tenant)}`, textContent: "JSON" }))));
  dialog.showModal();
}

$("details").addEventListener("click", (event) => { if (event.target === $("details")) $("details").close(); });
