// Items of earlier executions, which the platform remembers by a value of each item.

import { DateTime } from "../dates.js";
import { NodeError } from "../errors.js";

const HISTORY_SIZE = 10_000;

/** Return the items with values that are new, and the others. As in n8n, equal items of one execution are all new. */
export function seenBefore(call) {
  const logic = call.param("logic", 0, "removeItemsWithAlreadySeenKeyValues");
  const find = LOGICS[logic];
  if (!find) throw new NodeError(`The logic '${logic}' is not supported`);
  const { parameter, valueOf, isNew } = find(call, call.param("options", 0, {}));
  if ((call.node.parameters[parameter] ?? "") === "") throw new NodeError("The node has no value to compare items by");
  // An object, for its order: keys that are whole numbers come first.
  const groups = Object.create(null);
  for (const [index, item] of call.items.entries()) {
    const value = valueOf(call.param(parameter, index));
    (groups[String(value)] ??= { value, items: [] }).items.push(call.keep(item, index));
  }
  const found = Object.values(groups);
  if (found.length === 0) return [[], []];
  const flags = isNew(found.map(({ value }) => value));
  const those = (flag) => found.filter((_, index) => flags[index] === flag).flatMap(({ items }) => items);
  return [those(true), those(false)];
}

export function clearSeen(call) {
  ask(call, "forget", scopeOf(call, call.param("options", 0, {})), {});
}

const LOGICS = {
  removeItemsWithAlreadySeenKeyValues: (call, options) => ({
    parameter: "dedupeValue",
    valueOf: (value) => String(value ?? ""),
    isNew(values) {
      const limit = Math.max(Math.trunc(Number(options.historySize ?? HISTORY_SIZE)) || HISTORY_SIZE, 1);
      return ask(call, "seen", scopeOf(call, options), { values, limit }).fresh;
    },
  }),
  removeItemsUpToStoredIncrementalKey: (call, options) => ({
    parameter: "incrementalDedupeValue",
    valueOf: numberOf,
    isNew: (values) => above(call, `${scopeOf(call, options)}/number`, values),
  }),
  removeItemsUpToStoredDate: (call, options) => ({
    parameter: "dateDedupeValue",
    valueOf: timeOf,
    isNew: (values) => above(call, `${scopeOf(call, options)}/date`, values),
  }),
};

const scopeOf = (call, { scope = "node" }) => (scope === "workflow" ? "" : call.node.name);

/** Ask the platform. The questions in a scope are counted, so that a repeated one gets the answer that it had. */
function ask(call, kind, scope, more) {
  const [answer] = call.send([{ [kind]: { scope, place: call.nextPlace(`${kind} ${scope}`), ...more } }]);
  return answer;
}

function above(call, scope, values) {
  const value = values.reduce((most, one) => Math.max(most, one), -Infinity);
  const { before } = ask(call, "reached", scope, { value });
  return values.map((one) => before === null || one > before);
}

function numberOf(value) {
  const number = value === null || value === undefined || value === "" ? NaN : Number(value);
  if (!Number.isFinite(number)) throw new NodeError(`The value '${String(value)}' is not a number`);
  return number;
}

function timeOf(value) {
  const isText = typeof value === "string" && value !== "";
  const time = DateTime.isDateTime(value) ? value : isText ? DateTime.fromISO(value) : DateTime.invalid("no text");
  if (!time.isValid) throw new NodeError(`The value '${String(value)}' is not a date`);
  return time.toMillis();
}
