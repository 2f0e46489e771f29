// Set ("Edit Fields") of all versions.

import { NodeError, UnpairedError } from "../errors.js";
import { convert, described, parseJson } from "../types.js";
import { copy, fieldNames, get, set, unset } from "../values.js";

export function setNode(call) {
  if (call.version >= 3) return [call.eachItem((item, index) => current(call, item, index))];
  return [
    call.items.map((item, index) => ({
      ...item,
      json: firstFormatOrItem(call, item, index),
      pairedItem: { item: index },
    })),
  ];
}

/** If the node continues after errors, an item whose origin is unknown stays as it is. */
function firstFormatOrItem(call, item, index) {
  try {
    return firstFormat(call, item, index);
  } catch (error) {
    if (!call.continues || !(error instanceof UnpairedError)) throw error;
    return item.json;
  }
}

function writer(call, index) {
  const { dotNotation = true } = call.param("options", index, {});
  return (json, name, value) => {
    if (dotNotation === false) json[name] = value;
    else set(json, name, value);
  };
}

function firstFormat(call, item, index) {
  const json = call.param("keepOnlySet", index, false) === true ? {} : copy(item.json);
  const write = writer(call, index);
  const values = call.param("values", index, {});
  for (const entry of values.string ?? []) write(json, entry.name, written(entry, "value", ""));
  for (const entry of values.number ?? []) write(json, entry.name, numeric(written(entry, "value", 0)));
  for (const entry of values.boolean ?? []) write(json, entry.name, Boolean(entry.value));
  return json;
}

/** Return an entry's value. Only a value that is not written is the default; an expression may give undefined. */
const written = (entry, name, otherwise) => (name in entry ? entry[name] : otherwise);

const numeric = (value) =>
  typeof value === "string" && value.trim() !== "" && !Number.isNaN(Number(value)) ? Number(value) : value;

function current(call, item, index) {
  const { ignoreConversionErrors = false } = call.param("options", index, {});
  const json = included(call, item, index);
  const write = writer(call, index);
  if (call.param("mode", index, "manual") === "raw") {
    for (const [name, value] of Object.entries(rawFields(call, index))) write(json, name, value);
    return json;
  }
  for (const { name, type, value } of entries(call, index)) {
    write(json, name, typed(call, name, type, value, index, ignoreConversionErrors));
  }
  return json;
}

function entries(call, index) {
  if (call.version >= 3.3) {
    const { assignments = [] } = call.param("assignments", index, {});
    return assignments.map((entry) => ({
      name: entry.name ?? "",
      type: entry.type ?? "string",
      value: written(entry, "value", ""),
    }));
  }
  const { values = [] } = call.param("fields", index, {});
  return values.map(({ name = "", type = "stringValue", ...rest }) => ({
    name,
    type: type.replace("Value", ""),
    value: written(rest, type, { booleanValue: "true", objectValue: "={}" }[type] ?? ""),
  }));
}

function typed(call, name, type, value, index, ignoresErrors) {
  if (value === undefined || value === null) {
    if (type === "string" && call.version < 3.1) return String(value);
    if (type !== "string" || call.version >= 3.2) return null;
    throw new NodeError(`'${name}' expects a string but we got '${value}' [item ${index}]`);
  }
  if (type === "string") return typeof value === "object" ? JSON.stringify(value) : String(value);
  const result = convert(value, type);
  if (result.valid) return result.value ?? null;
  if (ignoresErrors) return value;
  throw new NodeError(`'${name}' expects a ${type} but we got ${described(value)} [item ${index}]`);
}

function rawFields(call, index) {
  const raw = call.jsonParam("jsonOutput", index, "{}");
  try {
    const fields = typeof raw === "object" && raw !== null ? raw : parseJson(raw);
    if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) return copy(fields);
  } catch {
    // The error below names the place.
  }
  throw new NodeError(`The 'JSON Output' in item ${index} does not contain a valid JSON object`);
}

function included(call, item, index) {
  const includesOthers = call.version >= 3.3 ? call.param("includeOtherFields", index, false) : true;
  const include = call.param("include", index, "all");
  if (!includesOthers || include === "none") return {};
  if (include === "selected") {
    const json = {};
    for (const name of fieldNames(call.param("includeFields", index, ""))) {
      const value = get(item.json, name);
      if (value !== undefined) json[name.split(".").at(-1)] = copy(value);
    }
    return json;
  }
  const json = copy(item.json);
  if (include === "except") for (const name of fieldNames(call.param("excludeFields", index, ""))) unset(json, name);
  return json;
}
