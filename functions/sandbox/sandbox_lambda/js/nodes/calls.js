// Workflows that call each other.

import { NodeError } from "../errors.js";
import { convert } from "../types.js";

/** What executeWorkflowTrigger gives: of each item the fields that it declares. Those that are not passed are null. */
export function calledItemsNode(call) {
  const names = call.node.parameters.fields;
  const declared = (json) => names.map((name) => [name, Object.hasOwn(json, name) ? json[name] : null]);
  return [call.eachItem(({ json }) => Object.fromEntries(declared(json)))];
}

/**
 * Each item names a run, by its `run_id`, or has the {error, message} of a call that failed. The items that the run
 * ended with take its place.
 */
export function calledRunsNode(call) {
  const ended = call.items.filter(({ json }) => json.run_id !== undefined);
  const answers = ended.length > 0 ? call.send(ended.map(({ json }) => ({ run: { id: json.run_id } }))) : [];
  const failed = answers.find(({ error }) => error);
  if (failed) throw new NodeError(failed.error);
  const results = new Map(ended.map((item, index) => [item, answers[index].items]));
  return [
    call.items.flatMap((item, index) => {
      const items = results.get(item) ?? [{ error: item.json.message ?? item.json.error }];
      return items.map((json) => call.keep({ json }, index));
    }),
  ];
}

/**
 * Return what executeWorkflow passes for an item: the item, with the fields that the node maps, converted to the types
 * that the called workflow declares, and without the fields that were removed from the mapping.
 */
export function passedItem(call, item, index, mapping) {
  if (!mapping) return item.json;
  const mapped = Object.entries(call.resolved(mapping.value, index) ?? {});
  const passed = { ...item.json };
  for (const [name, value] of mapped) passed[name] = typed(name, value, index, mapping);
  return Object.fromEntries(Object.entries(passed).filter(([name]) => !mapping.removed.includes(name)));
}

function typed(name, value, index, { types, converts, texts }) {
  const type = types[name];
  if (value === undefined || value === null) return type === undefined ? value : undefined;
  if (type === undefined || (type === "string" && !texts)) return value;
  const result = convert(value, type, !converts);
  if (!result.valid) throw new NodeError(`Invalid input for '${name}' [item ${index}]`);
  return result.value;
}
