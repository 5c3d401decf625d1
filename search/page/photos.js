/* Photos on their way in, from the person who searches, and out, of products. */

import { photo } from "./api.js";
import { make } from "./dom.js";
import { currentKey } from "./key.js";

const MAX_UPLOAD = 4e6, LONGEST = 1600, KEPT = 200;

/* A photo that is not too large to be sent. What is wrong with one the server says best. */
export async function lighter(blob) {
  if (blob.size <= MAX_UPLOAD) return blob;
  try {
    const bitmap = await createImageBitmap(blob), scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
    const canvas = make("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob((small) => done(small ?? blob), "image/jpeg", 0.9));
  } catch { return blob; }
}

/* What a drop or a paste brings: files of images, or the address of one. */
export function brought(data) {
  const files = [...(data?.files ?? [])], images = files.filter((file) => file.type.startsWith("image/"));
  if (files.length) return { files: images.length ? images : files.slice(0, 1) };
  const lines = data?.getData("text/uri-list").split(/\r?\n/) ?? [];
  const url = lines.find((line) => /^(https?:|data:image\/)/i.test(line));
  return url ? { url } : null;
}

/* Where the nth photo of a product is: at the shop, or given out by this service. */
export function address(product, n = 0) {
  const url = product.images?.[n];
  if (!url) return "";
  return /^https?:/i.test(url) ? url : `${url.replace(/^\//, "")}&v=${product.content_version ?? 0}`;
}

const kept = new Map();  // address to blob address, the longest unused first

/* Shows a photo. An <img> sends no key, so where there is one this service's own photos are fetched with it. */
export async function show(image, url) {
  if (!currentKey() || /^(https?|blob|data):/i.test(url)) { image.src = url; return; }
  try {
    if (!kept.has(url)) kept.set(url, URL.createObjectURL(await photo(url)));
    const blob = kept.get(url);
    kept.delete(url);
    kept.set(url, blob);
    image.src = blob;
    for (const [old, unused] of kept) {
      if (kept.size <= KEPT) break;
      kept.delete(old);
      URL.revokeObjectURL(unused);
    }
  } catch { image.dispatchEvent(new Event("error")); }
}

/* A frame with the photo, or the first letter of the title if there is none. */
export function frame(product, n = 0, alt = "") {
  const letter = (product.title.match(/[\p{L}\p{N}]/u) ?? ["·"])[0].toUpperCase();
  const node = make("div", { className: "photo" }, make("span", { className: "letter", textContent: letter, ariaHidden: "true" }));
  const url = address(product, n);
  if (!url) return node;
  const image = make("img", { alt, loading: "lazy", decoding: "async", draggable: false });
  image.addEventListener("load", () => node.classList.add("there"), { once: true });
  image.addEventListener("error", () => image.remove(), { once: true });
  node.append(image);
  show(image, url);
  return node;
}
