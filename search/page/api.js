/* Requests to the service, and their failures. */

import { currentKey, askForKey } from "./key.js";

const MOST_VALUES = 60;

export class Failure extends Error {
  constructor(message, { status = 0, after = 0 } = {}) {
    super(message);
    this.status = status;
    this.after = after;  // seconds until a retry is worthwhile; 0: do not retry
  }
}

/* Sends a request with the key, and asks the person for a key if one is needed. `quietly`: not again after a refusal. */
async function send(path, { quietly = false, ...init } = {}) {
  for (;;) {
    const key = currentKey(), headers = new Headers(init.headers);
    if (key) headers.set("authorization", `Bearer ${key}`);
    const response = await reach(path, { ...init, headers });
    if (response.status !== 401) return response;
    const failure = await failed(response);
    if (currentKey() === key && !(await askForKey(failure.message, { quietly, refused: Boolean(key) }))) throw failure;
  }
}

async function reach(path, init) {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("the service cannot be reached", { after: 3 });
  }
}

async function failed(response) {
  const body = await response.json().catch(() => null);
  const wait = Number(response.headers.get("retry-after")) || 3;
  return new Failure(body?.error?.message ?? `the service answered ${response.status}`, {
    status: response.status,
    after: [429, 502, 503, 504].includes(response.status) ? wait : 0,
  });
}

async function json(path, init) {
  const response = await send(path, init);
  if (!response.ok) throw await failed(response);
  return response.json();
}

/* The time of the newest event by the clock of this page, from its age: the clock of the service may differ. */
const dated = (product) => Object.assign(product, { born: performance.now() - (product.age_s ?? 0) * 1000 });

/* `body` is an object, or a form if photos are sent. */
export async function search(body, signal) {
  const form = body instanceof FormData;
  const headers = form ? {} : { "content-type": "application/json" };
  const answer = await json("v1/search", { method: "POST", headers, body: form ? body : JSON.stringify(body), signal });
  answer.hits.forEach(dated);
  return answer;
}

export const productPath = (id) => `v1/products/${encodeURIComponent(id)}`;

/* The body is of use whatever the status is. */
export async function health() {
  const response = await send("v1/status", { quietly: true, signal: AbortSignal.timeout(4000) });
  return response.json();
}

/* The fields and their types, and the counted values of the named fields under a filter. */
export function facets(fields, filter) {
  const params = new URLSearchParams([...fields.map((field) => ["field", field]), ["limit", MOST_VALUES], ["filter", JSON.stringify(filter)]]);
  return json(`v1/facets?${params}`, { quietly: true });
}

export async function photo(path) {
  const response = await send(path, { quietly: true });
  if (!response.ok) throw await failed(response);
  return response.blob();
}

/* Products as they are indexed, until the stream ends. Not an EventSource, which cannot send a key. */
export async function* live(since, signal) {
  const response = await send(`v1/products/stream?since=${since}`, { quietly: true, signal });
  if (!response.ok) throw await failed(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", part; !(part = await reader.read()).done;) {
    const events = (rest + part.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data) yield dated(JSON.parse(data));
    }
  }
}
