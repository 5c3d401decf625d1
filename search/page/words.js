/* Formats numbers, money and ages for people. */

const plain = new Intl.NumberFormat();

export const number = (value) => plain.format(value);

export const count = (n, one, many) => `${number(n)} ${n === 1 ? one : many}`;

export const sentence = (words) => words.slice(0, 1).toUpperCase() + words.slice(1);

export const ended = (words) => (/[.?!]$/.test(words) ? words : `${words}.`);

export function money(product) {
  if (product.price === null || product.price === undefined) return "";
  try {
    if (product.currency) return new Intl.NumberFormat(undefined, { style: "currency", currency: product.currency }).format(product.price);
  } catch { /* not a currency that the browser knows */ }
  return `${plain.format(product.price)} ${product.currency ?? ""}`.trim();
}

export const first = (value) => (Array.isArray(value) ? value[0] : value) ?? "";

export function score(value) {
  return Math.abs(value) >= 0.1 || value === 0 ? value.toFixed(3) : value.toPrecision(3);
}

const UNITS = [["s", 60], ["min", 60], ["h", 24], ["d", Infinity]];

/* An age in seconds as text, such as "12 s ago". */
export function ago(seconds) {
  let left = Math.max(0, seconds);
  for (const [unit, size] of UNITS) {
    if (left < size) return `${Math.floor(left)} ${unit} ago`;
    left /= size;
  }
}
