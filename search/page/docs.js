/* Shows the OpenAPI description of the API. */

import { $, make } from "./dom.js";

let spec = {};

function follow(schema) {
  while (schema?.$ref) schema = schema.$ref.slice(2).split("/").reduce((part, name) => part[name], spec);
  return schema ?? {};
}

function kind(schema) {
  const s = follow(schema);
  if (s.anyOf) return s.anyOf.map(kind).join(" or ");
  if (s.enum) return s.enum.map((v) => JSON.stringify(v)).join(", ");
  if (s.type === "array") return `list of ${kind(s.items)}`;
  if (s.type === "string" && s.format === "binary") return "file";
  const bounds = [s.minimum !== undefined && `from ${s.minimum}`, s.exclusiveMaximum !== undefined && `below ${s.exclusiveMaximum}`, s.maxLength && `up to ${s.maxLength} characters`].filter(Boolean);
  return [s.type ?? "anything", ...bounds].join(", ");
}

function prose(words) { return (words ?? "").split("`").map((part, i) => i % 2 ? make("code", { textContent: part }) : part); }

function rows(entries) {
  return make("table", {}, make("tbody", {}, ...entries.map(([name, what, words]) =>
    make("tr", {}, make("td", {}, make("code", { textContent: name }), make("span", { textContent: what })), make("td", {}, ...prose(words))))));
}

function listed(schema, prefix = "") {
  return Object.entries(follow(schema).properties ?? {}).flatMap(([name, field]) => {
    const preset = field.default === undefined || field.default === null ? "" : `, ${JSON.stringify(field.default)} if left out`;
    const s = follow(field), inner = s.type === "array" ? listed(s.items, `${prefix}${name}[].`) : listed(field, `${prefix}${name}.`);
    return [[prefix + name, kind(field) + preset, field.description ?? s.description], ...inner];
  });
}

function fields(schema) { return rows(listed(schema)); }

function example(schema) {
  const s = follow(schema);
  if (s.examples?.length) return s.examples[0];
  if (s.default !== undefined && s.default !== null) return s.default;
  if (s.anyOf) return s.anyOf.some((o) => o.type === "null") ? null : example(s.anyOf[0]);
  if (s.enum) return s.enum[0];
  if (s.type === "array") return [example(s.items)];
  if (s.type === "object" || s.properties) return Object.fromEntries(Object.entries(s.properties ?? {}).map(([n, f]) => [n, example(f)]));
  return { string: "…", integer: 0, number: 0, boolean: true }[s.type] ?? null;
}

function code(value) { return make("pre", { tabIndex: 0 }, make("code", { textContent: typeof value === "string" ? value : JSON.stringify(value, null, 2) })); }

function curl(method, path, operation) {
  const base = location.href.replace(/docs\/?([?#].*)?$/, "").replace(/\/$/, "");
  const at = base + path.replace(/\{(\w+)\}/g, (_, name) => operation.parameters?.find((p) => p.name === name)?.schema?.examples?.[0] ?? name);
  if (method === "get") return `curl '${at}'`;
  const body = operation.requestBody?.content?.["application/json"];
  const lines = body ? [`curl '${at}' -H 'content-type: application/json' -d '${JSON.stringify(example(body.schema))}'`] : [];
  if (operation.requestBody?.content?.["multipart/form-data"]) lines.push(`curl '${at}' -F image=@photo.jpg -F limit=5`);
  return lines.join("\n");
}

function draw(path, method, operation) {
  const parts = [
    make("h2", {}, make("code", {}, make("b", { textContent: method.toUpperCase() }), ` ${path}`), make("span", { textContent: operation.summary ?? "" })),
    make("p", {}, ...prose(operation.description)),
    make("h3", { textContent: "Try it" }), code(curl(method, path, operation)),
  ];
  if (operation.parameters?.length) parts.push(make("h3", { textContent: "Parameters" }), rows(operation.parameters.map((p) => [p.name, kind(p.schema), p.description])));
  for (const [type, body] of Object.entries(operation.requestBody?.content ?? {})) parts.push(make("h3", { textContent: `Body: ${type}` }), fields(body.schema));
  const good = operation.responses["200"]?.content?.["application/json"]?.schema;
  if (good) parts.push(make("h3", { textContent: "Answer" }), code(example(good)), fields(good));
  parts.push(make("h3", { textContent: "Statuses" }), rows(Object.entries(operation.responses).map(([status, r]) => [status, "", r.description])));
  return make("article", {}, ...parts);
}

(async () => {
  try {
    spec = await (await fetch("openapi.json")).json();
    $("title").textContent = spec.info.title;
    $("title").append(make("small", { textContent: spec.info.version }));
    $("about").replaceChildren(...spec.info.description.split("\n\n").map((words) => make("p", {}, ...prose(words))));
    $("list").replaceChildren(...Object.entries(spec.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => draw(path, method, operation))));
  } catch (error) {
    $("list").replaceChildren(make("p", { textContent: `The description could not be loaded: ${error.message}` }));
  }
})();
