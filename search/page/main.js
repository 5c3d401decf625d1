/* The page: its parts, and what each does to the others. */

import { health } from "./api.js";
import { setRank } from "./card.js";
import { open } from "./details.js";
import { $, make } from "./dom.js";
import { Feed } from "./feed.js";
import * as filters from "./filters.js";
import { offerKey } from "./key.js";
import { Pane } from "./pane.js";
import { drawParts } from "./parts.js";
import { brought, lighter } from "./photos.js";
import { PAGE, addPart, dropPart, isEmpty, query } from "./query.js";
import { count } from "./words.js";

const PAUSE = 160, FOLLOW = 1000, HEALTH = 5000;
let timer = 0, following = 0, products = null;

const acts = { open: (product) => open(product, acts), like, mix };
const on = { answered, clear: filters.clearAll, way: changed, more };
const left = new Pane($("left"), acts, on), right = new Pane($("right"), acts, on);
const feed = new Feed(acts, arrived);
const panes = () => (comparing() ? [left, right] : [left]);
const comparing = () => $("compare").ariaPressed === "true";

/* Asking */

function changed({ soon = false } = {}) {
  query.text = $("text").value.trim();
  query.limit = PAGE;
  drawParts(() => changed({ soon: true }));
  $("add").hidden = !query.text;
  clearTimeout(timer);
  timer = setTimeout(ask, soon ? PAUSE : 0);
}

function ask(quietly = false) {
  clearTimeout(timer);
  remember();
  const idle = isEmpty();
  document.body.classList.toggle("idle", idle);
  $("found").hidden = idle;
  if (idle) { left.clear(); right.clear(); } else panes().forEach((pane) => pane.ask({ quietly: quietly === true }));
  if (!idle) filters.count();
  describe();
}

function more() {
  query.limit *= 2;
  ask();
}

function answered(pane, body) {
  $("space").textContent = body.space;
  if (pane === left) filters.hint(left.hits);
  rank();
}

/* Side by side, every card says where the other answer has it. */
function rank() {
  const order = [left, right].map((pane) => [...pane.results.cards.keys()]);
  [left, right].forEach((pane, side) => {
    const other = comparing() && order[1 - side].length ? order[1 - side] : null;
    [...pane.results.cards].forEach(([key, { node }], n) => setRank(node, n + 1, other && other.indexOf(key) + 1, [right, left][side].name));
  });
}

function remember() {
  const url = new URL(location);
  if (query.text) url.searchParams.set("q", query.text); else url.searchParams.delete("q");
  if (comparing()) url.searchParams.set("ways", [left.way.value, right.way.value].join(",")); else url.searchParams.delete("ways");
  history.replaceState(null, "", url);
}

/* What the query is made of */

function like(product) {
  query.parts.forEach(dropPart);
  query.parts = [];
  query.weight = 1;
  $("text").value = "";
  addPart({ product });
  toTop();
}

function mix(product, weight) {
  const there = query.parts.find((part) => part.product?.id === product.id && part.product.tenant === product.tenant);
  if (there) dropPart(there);
  addPart({ product }, weight);
  toTop();
}

function toTop() {
  window.scrollTo({ top: 0 });
  changed();
  $("text").focus({ preventScroll: true });
}

async function takeFiles(files) {
  for (const file of files) {
    const blob = await lighter(file);
    addPart({ blob, preview: URL.createObjectURL(blob), name: file.name || "A photo" });
  }
  toTop();
}

function take(data) {
  const what = brought(data);
  if (what?.files) takeFiles(what.files);
  if (what?.url) { addPart({ url: what.url, preview: what.url, name: "A photo from the web" }); toTop(); }
  return Boolean(what);
}

function addWords() {
  if (!query.text) return;
  addPart({ words: query.text }, query.weight);
  query.weight = 1;
  $("text").value = "";
  toTop();
}

/* What is new on the shelf */

function arrived(product) {
  left.results.update(product);
  right.results.update(product);
  if (products === 0) look();
  if ($("follow").checked && !following) following = setTimeout(() => { following = 0; if (!isEmpty()) ask(true); }, FOLLOW);
}

async function look() {
  try {
    const body = await health();
    products = body.products;
    $("state").className = body.index ? "state ok" : "state bad";
    const shown = products === null ? "connected" : count(products, "product", "products");  // not told to all
    $("state").textContent = body.index ? shown : "index not answering";
    $("space").textContent = body.space;
  } catch (error) {
    $("state").className = "state bad";
    $("state").textContent = error.status === 401 ? "locked" : "not connected";
  }
  describe();
}

function describe() {
  $("note").hidden = !(products === 0 && isEmpty());
  $("note-title").textContent = "The shelf is empty";
  $("note-text").replaceChildren("Products appear here as soon as their events arrive. To load a catalogue: ", make("code", { textContent: "liveshelf backfill catalogue.parquet" }));
}

/* Wiring */

$("text").addEventListener("input", (event) => { if (!event.isComposing) changed({ soon: true }); });
$("text").addEventListener("compositionend", () => changed({ soon: true }));
$("form").addEventListener("submit", (event) => { event.preventDefault(); changed(); });
$("add").addEventListener("click", addWords);
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => { takeFiles([...$("file").files]); $("file").value = ""; });
$("sort").addEventListener("change", () => { query.sort = $("sort").value; changed(); });
$("compare").addEventListener("click", () => compare(!comparing()));
document.addEventListener("paste", (event) => { if (event.clipboardData?.files.length && take(event.clipboardData)) event.preventDefault(); });
document.addEventListener("dragover", (event) => { event.preventDefault(); $("drop").hidden = false; });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").hidden = true; });
document.addEventListener("drop", (event) => { event.preventDefault(); $("drop").hidden = true; take(event.dataTransfer); });
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "/" && !typing) { event.preventDefault(); $("text").focus(); $("text").select(); }
  if (document.activeElement !== $("text")) return;
  if (event.key === "ArrowDown") { event.preventDefault(); (isEmpty() ? feed : left).results.focus(); }
  if (event.key === "Escape" && !$("text").value && query.parts.length) { dropPart(query.parts.at(-1)); changed(); }
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });

function compare(both) {
  $("compare").ariaPressed = String(both);
  $("right").hidden = !both;
  $("found").classList.toggle("both", both);
  if (both && left.way.value === right.way.value) [left.way.value, right.way.value] = ["", "image"];
  if (!both) { right.clear(); left.way.value = ""; }
  changed();
}

function start() {
  const url = new URL(location);
  $("text").value = url.searchParams.get("q") ?? "";
  const ways = url.searchParams.get("ways")?.split(",");
  if (ways) { [left.way.value, right.way.value] = ways; compare(true); }
  filters.setUp(changed);
  offerKey(() => { look(); ask(); });
  changed();
  look();
  setInterval(() => { if (!document.hidden) look(); }, HEALTH);
  feed.listen();
  $("text").focus({ preventScroll: true });
}

start();
