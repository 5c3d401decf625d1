/* One answer to the query: asked for, waited for, shown, or said why not. */

import { Failure, search } from "./api.js";
import { button, make } from "./dom.js";
import { identity, isFiltered, query, request } from "./query.js";
import { Results } from "./results.js";
import { count, ended, sentence } from "./words.js";

const BUSY = 200, SLOW = 3000, LATEST = 60_000;

/* Ways to search: the value of the choice, its name, and the fields of the request. */
export const WAYS = [
  ["", "Automatic", {}],
  ["hybrid", "Hybrid", { mode: "hybrid" }],
  ["dense", "By meaning (dense)", { mode: "dense" }],
  ["lexical", "By words (lexical)", { mode: "lexical" }],
  ["image", "By looks (photo alone)", { mode: "dense", using: "image" }],
];

export class Pane {
  /* `on` says what to do: answered(body), changed(), clear(), way(). */
  constructor(root, acts, on) {
    this.root = root;
    this.on = on;
    this.way = make("select", { ariaLabel: "How to search" }, ...WAYS.map(([value, name]) => make("option", { value, textContent: name })));
    this.status = make("p", { className: "status", role: "status" });
    this.problem = make("div", { className: "problem", role: "alert", hidden: true });
    this.note = make("div", { className: "note", hidden: true });
    this.more = button("Show more", "chip", () => on.more());
    const list = make("ol", { className: "grid", ariaLabel: "Products found" });
    root.append(make("div", { className: "row bar" }, this.status, this.way), this.problem, list, this.note, this.more);
    this.results = new Results(list, acts);
    this.way.addEventListener("change", () => on.way());
    this.more.hidden = true;
    this.asked = null;
    this.pending = null;
  }

  get name() { return WAYS.find(([value]) => value === this.way.value)[1]; }

  get hits() { return [...this.results.cards.values()].map((entry) => entry.product); }

  /* Asks, and forgets every question before; quietly, it does not say that it is asking. */
  async ask({ quietly = false } = {}) {
    this.stop();
    const mine = this.pending = new AbortController(), asked = identity() + this.way.value;
    const late = setTimeout(() => mine.abort(new Failure("no answer came within a minute")), LATEST);
    if (!quietly) this.wait();
    try {
      const how = WAYS.find(([value]) => value === this.way.value)[2];
      const body = await search(request(how), mine.signal);
      if (mine === this.pending) this.show(body, asked);
    } catch (error) {
      const why = mine.signal.reason instanceof Failure ? mine.signal.reason : error;
      if (mine === this.pending && why.name !== "AbortError") this.fail(why);
    } finally {
      clearTimeout(late);
      if (mine === this.pending) this.settle();
    }
  }

  stop() {
    clearTimeout(this.again);
    this.pending?.abort();
    this.settle();
  }

  clear() {
    this.stop();
    this.results.clear();
    this.asked = null;
    this.problem.hidden = this.note.hidden = this.more.hidden = true;
    this.tell("");
  }

  wait() {
    this.timers = [
      setTimeout(() => {
        this.root.classList.add("busy");
        this.root.ariaBusy = "true";
        if (this.problem.hidden && this.note.hidden) this.results.wait(8);
      }, BUSY),
      setTimeout(() => {
        this.status.replaceChildren("Still searching… ", button("Stop", "link", () => { this.stop(); this.results.list.querySelectorAll(".bone").forEach((bone) => bone.remove()); this.tell("Stopped."); }));
      }, SLOW),
    ];
  }

  settle() {
    this.pending = null;
    this.timers?.forEach(clearTimeout);
    this.root.classList.remove("busy");
    this.root.ariaBusy = null;
  }

  show(body, asked) {
    const { hits, took_ms: took } = body;
    this.problem.hidden = true;
    if (asked !== this.asked) this.results.list.scrollTop = 0;
    this.asked = asked;
    this.results.show(hits);
    this.more.hidden = hits.length < query.limit || query.limit >= 400;
    this.empty(hits.length === 0);
    const all = hits.length === query.limit ? `The nearest ${count(hits.length, "product", "products")}` : count(hits.length, "product", "products");
    this.tell(hits.length ? `${all} in ${Math.max(1, Math.round(took.total))} ms` : "No products", `encoding ${took.encode} ms, searching ${took.search} ms`);
    if (body.degraded.length) this.warn(body.degraded);
    this.on.answered(this, body);
  }

  empty(none) {
    this.note.hidden = !none;
    if (!none) return;
    const filtered = isFiltered();
    this.note.replaceChildren(
      make("h2", { textContent: filtered ? "Nothing matches these filters" : "Nothing found" }),
      make("p", { textContent: filtered ? "The shelf may hold more without them." : "Try other words, or a photo." }));
    if (filtered) this.note.append(button("Clear the filters", "chip", () => this.on.clear()));
  }

  warn(why) {
    this.problem.hidden = false;
    this.problem.className = "problem mild";
    this.problem.replaceChildren(make("p", { textContent: `Not the whole answer: ${why.join("; ")}` }));
  }

  fail(error) {
    if (!(error instanceof Failure)) throw error;
    this.results.clear();  // what was shown answers another question
    this.note.hidden = this.more.hidden = true;
    this.asked = null;
    this.tell("");
    this.problem.hidden = false;
    this.problem.className = "problem";
    const retry = error.after ? ` Trying again in ${error.after} s.` : "";
    this.problem.replaceChildren(make("p", { textContent: `${ended(sentence(error.message))}${retry}` }));
    const hopeless = error.status >= 400 && error.status < 429 && error.status !== 401;  // the same would be said again
    if (!hopeless) this.problem.append(button("Try again", "chip", () => this.ask()));
    if (error.after) this.again = setTimeout(() => this.ask({ quietly: true }), error.after * 1000);
  }

  tell(words, detail = "") {
    if (this.status.textContent !== words) this.status.textContent = words;
    this.status.title = detail;
  }
}
