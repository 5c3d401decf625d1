/* Nodes, made without markup. */

export const $ = (id) => document.getElementById(id);

export function make(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export function button(text, className, press, label) {
  const node = make("button", { type: "button", className, textContent: text });
  if (label) node.ariaLabel = label;
  node.addEventListener("click", press);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

export function drawing(...paths) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  for (const d of paths) svg.append(Object.assign(document.createElementNS(SVG, "path"), {}));
  [...svg.children].forEach((path, n) => path.setAttribute("d", paths[n]));
  return svg;
}

/* A list in a new order, with the focus where it was. */
export function arrange(list, nodes) {
  if (nodes.length === list.children.length && nodes.every((node, n) => node === list.children[n])) return;
  const focused = document.activeElement;
  list.replaceChildren(...nodes);
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}
