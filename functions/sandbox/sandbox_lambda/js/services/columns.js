// What n8n's editor maps to the columns of a table: each column has a type, and values are converted to it.

import { DateTime } from "../dates.js";
import { NodeError } from "../errors.js";

/** Return the values that a node maps for an item, {column: value}, with the types of their columns. */
export function mappedValues(call, index) {
  const { value, schema = [] } = call.param("columns", index, {});
  const types = new Map((schema ?? []).map(({ id, type }) => [id, type]));
  return Object.fromEntries(
    Object.entries(value ?? {}).map(([name, one]) => {
      const result = converted(one, types.get(name));
      if (result === INVALID) throw new NodeError(`Invalid input for '${name}' [item ${index}]`);
      return [name, result];
    }),
  );
}

const INVALID = Symbol("invalid");

function converted(value, type) {
  if (value === undefined || value === null || value === "") return value;
  if (type === "number") return Number.isNaN(Number(value)) || typeof value === "object" ? INVALID : Number(value);
  if (type === "boolean") return toBoolean(value);
  if (type === "array") return Array.isArray(value) ? value : listIn(value);
  if (type === "dateTime") return toDate(value);
  return value;
}

function toBoolean(value) {
  if (typeof value === "boolean") return value;
  const text = String(value).toLowerCase();
  if (["true", "1"].includes(text)) return true;
  return ["false", "0"].includes(text) ? false : INVALID;
}

function listIn(value) {
  try {
    const list = JSON.parse(value);
    return Array.isArray(list) ? list : INVALID;
  } catch {
    return INVALID;
  }
}

function toDate(value) {
  const time = value instanceof Date ? DateTime.fromJSDate(value) : DateTime.fromISO(String(value), { setZone: true });
  return time.isValid ? time.toUTC().toISO() : INVALID;
}
