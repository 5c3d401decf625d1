/* Filters: what is in stock, prices, and the values that products have, counted. */

import { facets } from "./api.js";
import { $, button, make } from "./dom.js";
import { clearFilters, filter, isFiltered, query, toggle } from "./query.js";
import { number, sentence } from "./words.js";

const FEW = 8, STALE = 10_000, MOST = 16;
const FIRST = ["category", "brand", "color"], NEVER = ["tenant", "currency", "parent"];
const open = new Set();  // fields that show all their values
let changed = () => {}, price = null, stock = null, counts = {}, fields = null, counted = "", at = 0, drawn = "";

export function setUp(ask) {
  changed = ask;
  const side = (name, label) => {
    const input = make("input", { type: "number", min: 0, step: "any", inputMode: "decimal", ariaLabel: label });
    input.addEventListener("input", () => {
      query[name] = Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : null;
      changed({ soon: true });
    });
    return input;
  };
  price = { min: side("min", "Lowest price"), max: side("max", "Highest price") };
  stock = make("input", { type: "checkbox" });
  stock.addEventListener("change", () => { query.available = stock.checked; changed(); });
  const clear = button("Clear all", "link", clearAll);
  clear.id = "clear";
  $("filters").append(
    make("div", { className: "row" }, make("h2", { textContent: "Filters" }), clear),
    make("label", { className: "choice" }, stock, make("span", { textContent: "In stock" })),
    make("fieldset", { className: "price" }, make("legend", { textContent: "Price" }), price.min, make("span", { textContent: "to", ariaHidden: "true" }), price.max),
    make("div", { id: "facets" }));
  $("show-filters").addEventListener("click", () => {
    const shown = $("filters").classList.toggle("open");
    $("show-filters").ariaExpanded = String(shown);
    if (shown) stock.focus();
  });
  hint([]);
  redraw();
}

export function clearAll() {
  clearFilters();
  price.min.value = price.max.value = "";
  stock.checked = false;
  $("text").focus();
  changed();
}

/* Counts what is on the shelf under these filters, where they are others than at the last count, or that was a while ago. */
export async function count() {
  redraw();
  const now = JSON.stringify(filter());
  if (now === counted && performance.now() - at < STALE) return;
  counted = now;
  at = performance.now();
  try {
    fields ??= listed(await facets([], {}));
    // Of a field with a choice, the values that could be chosen as well: counted as if it had none.
    const chosen = fields.filter((field) => query.terms.has(field)), others = fields.filter((field) => !query.terms.has(field));
    const answers = await Promise.all([facets(others, filter()), ...chosen.map((field) => facets([field], filter(field)))]);
    if (now !== counted) return;
    const all = Object.assign({}, ...answers.map((answer) => answer.facets));
    counts = Object.fromEntries(fields.map((field) => [field, all[field] ?? []]));
    redraw();
  } catch { counted = ""; }  // the search itself says what is wrong
}

/* Fields whose values can be counted, those that most shops have first; so many as one request may name. */
function listed({ fields: known, counted }) {
  const named = counted.filter((field) => known[field] === "keyword" && !NEVER.includes(field));
  const place = (field) => (FIRST.includes(field) ? FIRST.indexOf(field) : FIRST.length);
  return named.sort((a, b) => place(a) - place(b) || a.localeCompare(b)).slice(0, MOST);
}

/* What prices there are among the answers, as a hint. */
export function hint(hits) {
  const prices = hits.map((hit) => hit.price).filter((value) => value !== null && value !== undefined);
  price.min.placeholder = prices.length ? Math.floor(Math.min(...prices)) : "from";
  price.max.placeholder = prices.length ? Math.ceil(Math.max(...prices)) : "to";
}

function redraw() {
  const sign = JSON.stringify([counts, [...query.terms].map(([field, values]) => [field, ...values.keys()]), query.min, query.max, query.available, [...open]]);
  if (sign === drawn) return;  // so that nothing is replaced under a pointer
  drawn = sign;
  const focused = document.activeElement?.closest("#facets") && document.activeElement.id;
  const fields = new Set([...Object.keys(counts), ...query.terms.keys()]);
  $("facets").replaceChildren(...[...fields].map(facet).filter(Boolean));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  $("clear").hidden = !isFiltered();
  drawActive();
}

function facet(field) {
  const chosen = query.terms.get(field) ?? new Map();
  const listed = (counts[field] ?? []).map(({ value, count }) => ({ value, label: String(value), count }));
  const missing = [...chosen].filter(([label]) => !listed.some((each) => each.label === label)).map(([label, value]) => ({ value, label, count: 0 }));
  const all = [...missing, ...listed];
  if (all.length < 2 && !chosen.size) return null;
  const shown = open.has(field) ? all : all.filter((each, n) => n < FEW || chosen.has(each.label));
  const node = make("fieldset", {}, make("legend", { textContent: sentence(name(field)) }), ...shown.map((each) => choice(field, each, chosen)));
  if (shown.length < all.length || open.has(field) && all.length > FEW) {
    const more = button(open.has(field) ? "Show fewer" : `Show all ${all.length}`, "link", () => {
      if (!open.delete(field)) open.add(field);
      redraw();
    });
    more.id = `more-${field}`;
    node.append(more);
  }
  return node;
}

function choice(field, { value, label, count }, chosen) {
  const box = make("input", { type: "checkbox", id: `${field}=${label}`, checked: chosen.has(label) });
  box.addEventListener("change", () => { toggle(field, label, value); changed(); });
  return make("label", { className: "choice" }, box, make("span", { textContent: label, title: label }), make("small", { textContent: number(count) }));
}

const name = (field) => field.replace(/^attributes\./, "").replaceAll("_", " ");

/* What is in use, above the answers, each with a way out. */
function drawActive() {
  const chips = [];
  const chip = (words, remove) => chips.push(make("li", {}, button(words, "chip on", () => { remove(); changed(); }, `Without the filter ${words}`)));
  if (query.available) chip("In stock", () => { query.available = stock.checked = false; });
  if (query.min !== null) chip(`from ${number(query.min)}`, () => { query.min = null; price.min.value = ""; });
  if (query.max !== null) chip(`to ${number(query.max)}`, () => { query.max = null; price.max.value = ""; });
  for (const [field, values] of query.terms) for (const [label, value] of values) chip(label, () => toggle(field, label, value));
  $("active").hidden = !chips.length;
  $("active").replaceChildren(...chips);
  $("show-filters").textContent = chips.length ? `Filters (${chips.length})` : "Filters";
}
