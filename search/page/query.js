/* The current query, and the request that it becomes. */

export const PAGE = 24;

export const query = {
  text: "",
  weight: 1,      // of the text, if it is one part of a mix
  parts: [],      // {number, words | blob | url | product, preview, weight}
  terms: new Map(),  // field to a map of label to value
  min: null, max: null, available: false,
  sort: "", limit: PAGE,
};

let numbered = 0;

export function addPart(part, weight = 1) {
  query.parts.push({ number: ++numbered, weight, ...part });
}

export function dropPart(part) {
  query.parts = query.parts.filter((other) => other !== part);
  if (part.blob) URL.revokeObjectURL(part.preview);
}

export const isEmpty = () => !query.text && !query.parts.length;

export const isFiltered = () => query.terms.size > 0 || query.min !== null || query.max !== null || query.available;

/* Identifies a query without its filters, which only narrow its result. */
export const identity = () => JSON.stringify([query.text, query.weight, query.parts.map((part) => [part.number, part.weight])]);

export function toggle(field, label, value) {
  const chosen = query.terms.get(field) ?? new Map();
  if (!chosen.delete(label)) chosen.set(label, value);
  if (chosen.size) query.terms.set(field, chosen); else query.terms.delete(field);
}

export function clearFilters() {
  query.terms.clear();
  query.min = query.max = null;
  query.available = false;
}

/* The filter in use, optionally without one field. */
export function filter(without = null) {
  const all = Object.fromEntries([...query.terms].filter(([field]) => field !== without).map(([field, values]) => [field, [...values.values()]]));
  if (query.min !== null || query.max !== null) all.price = {};
  if (query.min !== null) all.price.gte = query.min;
  if (query.max !== null) all.price.lte = query.max;
  if (query.available) all.available = true;
  return all;
}

/* The photo, if the query is text and at most one photo of full weight; these are encoded together. Otherwise null. */
function together() {
  const [only, ...others] = query.parts;
  if (others.length || query.weight !== 1 && only) return null;
  if (!only) return {};
  return only.weight === 1 && (only.blob || only.url) ? only : null;
}

function mix(uploads) {
  const words = query.text ? [{ text: query.text, weight: query.weight }] : [];
  return [...words, ...query.parts.map((part) => {
    if (part.words) return { text: part.words, weight: part.weight };
    if (part.product) return { product: part.product.id, tenant: part.product.tenant, weight: part.weight };
    if (part.url) return { image_url: part.url, weight: part.weight };
    return { upload: uploads.push(part.blob) - 1, weight: part.weight };
  })];
}

/* The body of a search: an object, or a form if photos are sent. `how` has the mode or the vector to use. */
export function request(how) {
  const body = { limit: query.limit, filter: filter(), ...how }, uploads = [];
  if (query.sort) body.sort = query.sort;
  const one = together();
  if (one) {
    if (query.text) body.text = query.text;
    if (one.url) body.image_url = one.url;
    if (one.blob) uploads.push(one.blob);
  } else body.mix = mix(uploads);
  if (!uploads.length) return body;
  const form = new FormData();
  for (const blob of uploads) form.append("image", blob, "photo");
  for (const [name, value] of Object.entries(body)) form.append(name, typeof value === "string" ? value : JSON.stringify(value));
  return form;
}
