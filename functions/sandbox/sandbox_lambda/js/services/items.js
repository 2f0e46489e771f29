// What nodes of services have in common: they do something for each item, one after the other.

import { NodeError } from "../errors.js";
import { HttpError, Pending } from "../requests.js";

/**
 * Return the items of each item's work: an object, or a list of them. If the node continues after errors, an item says its
 * error: `describe` returns the text for what a service answered. `isPaired`: with an output for errors, such an item also
 * has what the item had before.
 */
export function forEachItem(call, work, { describe = (error) => error.message, isPaired = true } = {}) {
  return call.items.flatMap((_, index) => {
    const pairedItem = { item: index };
    try {
      return [work(index)].flat().map((json) => ({ json: json ?? {}, pairedItem }));
    } catch (error) {
      if (!call.continues || error instanceof Pending) throw error;
      const json = { error: error instanceof HttpError ? describe(error) : error.message };
      return [isPaired ? { json, pairedItem } : { json }];
    }
  });
}

/** Raise NodeError unless the node has these parameters, {name: as n8n's editor calls it}. */
export function requireParameters(call, title, names) {
  const isMissing = (name) => {
    const raw = call.node.parameters[name];
    const value = typeof raw === "object" && raw !== null && !Array.isArray(raw) && "value" in raw ? raw.value : raw;
    return value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
  };
  const missing = Object.keys(names).filter(isMissing);
  if (missing.length === 0) return;
  const issues = missing.map((name) => `- Parameter "${names[name]}" is required.`);
  throw new NodeError(`The '${title}' node has issues:\n${issues.join("\n")}`);
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
