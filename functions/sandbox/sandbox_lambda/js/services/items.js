// What nodes of services have in common: they do something for each item, one after the other.

import { NodeError } from "../errors.js";
import { HttpError, Pending } from "../requests.js";

/** An item with files. */
export class Item {
  constructor(json, binary) {
    Object.assign(this, { json, binary });
  }
}

/**
 * Return the items of each item's work: an object, an Item, or a list of them. If the node continues after errors, an item
 * says its error: `describe` returns the text for what a service answered. `isPaired`: with an output for errors, such an item also
 * has what the item had before.
 */
export function forEachItem(call, work, { describe = (error) => error.message, isPaired = true } = {}) {
  return call.items.flatMap((_, index) => {
    const pairedItem = { item: index };
    try {
      return [work(index)]
        .flat()
        .map((one) => (one instanceof Item ? { ...one, pairedItem } : { json: one ?? {}, pairedItem }));
    } catch (error) {
      if (!call.continues || error instanceof Pending) throw error;
      const json = { error: error instanceof HttpError ? describe(error) : error.message };
      return [isPaired ? { json, pairedItem } : { json }];
    }
  });
}

/** Return the value of a parameter that is JSON, or was already read. Throw the message if it is no JSON. */
export function jsonFrom(raw, message) {
  if (typeof raw !== "string") return raw;
  try {
    return JSON.parse(raw);
  } catch {
    throw new NodeError(message);
  }
}

/** Return the file in this field of the item: {data, mimeType, fileName}. */
export function fileOfItem(call, index, field) {
  const files = call.items[index].binary;
  if (files?.[field]) return files[field];
  if (files) throw new NodeError(`The item has no binary field '${field}' [item ${index}]`);
  throw new NodeError(
    `This operation expects the node's input data to contain a binary file '${field}', but none was found [item ${index}]`,
  );
}

/** Return a text that a model is to read. Throw what n8n says if it is none. */
export function requireText(text, name) {
  if (text === null || text === undefined) throw new NodeError(`Cannot read properties of ${text} (reading 'trim')`);
  if (typeof text !== "string") throw new NodeError(`${name}.trim is not a function`);
  if (text.trim() === "") throw new NodeError("A non-empty prompt is required.");
  return text;
}

/** Return an object without the fields that are undefined. */
export const defined = (fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** Return the value of a parameter that may name a thing of a service by its id, its URL or its name. */
export function idOf(call, name, index, pattern) {
  const raw = call.param(name, index, "");
  const value = typeof raw === "object" && raw !== null ? (raw.value ?? "") : raw;
  return (pattern && pattern.exec(String(value))?.[1]) || value;
}

/**
 * Throw what n8n says before a node runs if the node lacks a parameter: `label` is the parameter's name for the user.
 * With `valid` {what, id, url}, a place that is named by its id or its URL must match the pattern. Expressions may be
 * anything. `fallback` is what a parameter is that was left out.
 */
export function requireParameters(call, wanted) {
  const problems = wanted.flatMap(({ name, label, valid, fallback }) => {
    const raw = call.node.parameters[name] ?? fallback;
    const { value, mode } = typeof raw === "object" && raw !== null && !Array.isArray(raw) ? raw : { value: raw };
    const text = String(value ?? "");
    if (text.startsWith("=")) return [];
    const found = label && text === "" ? [`Parameter "${label}" is required.`] : [];
    const isInvalid = valid?.[mode] && !valid[mode].test(text);
    return isInvalid ? [...found, `Not a valid ${valid.what} ${mode.toUpperCase()}`] : found;
  });
  if (problems.length === 0) return;
  const lines = problems.map((problem) => `\n- ${problem}`);
  throw new NodeError(`The '${call.node.name}' node has issues:${lines.join("")}`);
}
