// The values of another node's parameters for each item: what the platform's own steps take.

import { convertedJson } from "../types.js";

/**
 * `parameters.values` is a list of {kind, raw}: the kind "value" is any parameter, "json" one whose text is JSON, "form"
 * the fields of a form, and "item" the item itself. Each item of the result has them as v0, v1, …; undefined is null.
 */
export function valuesNode(call) {
  const values = call.node.parameters.values;
  return [
    call.items.map((item, index) => ({
      json: Object.fromEntries(
        values.map(({ kind, raw }, number) => [`v${number}`, valueOf(call, item, index, kind, raw) ?? null]),
      ),
      pairedItem: { item: index },
    })),
  ];
}

function valueOf(call, item, index, kind, raw) {
  if (kind === "item") return item.json;
  if (kind === "form") return formText(call.resolved(raw, index));
  return kind === "json" ? convertedJson(call.json(raw, index)) : call.resolved(raw, index);
}

function formText(fields) {
  const encoded = (text) => encodeURIComponent(text).replaceAll("%20", "+");
  return Object.entries(fields)
    .map(([name, value]) => `${encoded(name)}=${encoded(value ?? "")}`)
    .join("&");
}
