// Supabase: rows of tables. The host of the project is in the credentials.

import { NodeError } from "../errors.js";
import { encodedPairs, encodedUrl, exchange, HttpError, jsonOf, withPairs } from "../requests.js";
import { forEachItem, requireParameters } from "./items.js";

const API = "https://{host}/rest/v1";
const PAGE = 1000;

const OPERATIONS = { get, getAll, update, delete: remove };

export function supabaseNode(call) {
  const operation = call.param("operation", 0, "create");
  if (operation !== "create" && !OPERATIONS[operation])
    throw new NodeError(`The operation '${operation}' is not supported`);
  requireParameters(call, [{ name: "tableId", label: "Table Name or ID" }]);
  try {
    if (operation === "create") return [created(call)];
    return [forEachItem(call, (index) => OPERATIONS[operation](call, index), { describe: reasonOf })];
  } catch (error) {
    throw error instanceof HttpError ? new NodeError(messageOf(error)) : error;
  }
}

const reasonOf = (error) => jsonOf(error.response)?.message ?? error.message;

function messageOf(error) {
  const reason = jsonOf(error.response)?.message;
  return reason ? `${error.message}: ${reason}` : error.message;
}

function send(call, index, method, query, body) {
  const custom = call.param("useCustomSchema", 0, false) === true ? call.param("schema", 0, "public") : undefined;
  const profile = method === "GET" || method === "HEAD" ? "accept-profile" : "content-profile";
  const url = encodedUrl(`${API}/${call.param("tableId", index, "")}`);
  return exchange(call, {
    method,
    url: query ? `${url}?${query}` : url,
    body,
    headers: { prefer: "return=representation", ...(custom ? { [profile]: custom } : {}) },
    credentials: "supabaseApi",
  });
}

/** All items are one request. If it fails, that is the first item's error. */
function created(call) {
  const one = { ...call, items: call.items.slice(0, 1) };
  const rows = call.items.map((_, index) => rowOf(call, index));
  if (rows.length === 0) return [];
  return forEachItem(one, (index) => send(call, index, "POST", "", rows), { describe: reasonOf });
}

function rowOf(call, index) {
  if (call.param("dataToSend", index, "defineBelow") === "autoMapInputData") {
    const ignored = String(call.param("inputsToIgnore", index, "")).split(",");
    const names = ignored.map((name) => name.trim());
    return Object.fromEntries(Object.entries(call.items[index].json).filter(([name]) => !names.includes(name)));
  }
  const fields = call.param("fieldsUi", index, {}).fieldValues ?? [];
  return Object.fromEntries(
    fields.map((field) => [field.fieldId ?? "", "fieldValue" in field ? field.fieldValue : ""]),
  );
}

const conditionOf = ({ keyName = "", condition, searchFunction, keyValue }) => {
  const operator = condition === "fullText" ? searchFunction : condition;
  return `${keyName}.${operator}.${quoted(keyValue)}`;
};

/** A text with characters that separate conditions, or end a text, stands in quotes. n8n lets it add conditions. */
const quoted = (value) =>
  typeof value === "string" && /[,()"\\]/.test(value) ? `"${value.replace(/["\\]/g, "\\$&")}"` : value;

/** Return the query that chooses rows, and undefined if the node names no condition. `joins`: "and" is a field, too. */
function filterOf(call, index, way, joins) {
  const kind = call.param("filterType", index, way);
  if (kind === "none") return "";
  if (kind === "string") return encodedUrl(`?${call.param("filterString", index, "")}`).slice(1);
  const conditions = call.param("filters", index, {}).conditions ?? [];
  if (conditions.length === 0) return undefined;
  if (call.param("matchType", index, "anyFilter") === "anyFilter")
    return encodedPairs([["or", `(${conditions.map(conditionOf).join(",")})`]]);
  if (joins) return encodedPairs([["and", `(${conditions.map(conditionOf).join(",")})`]]);
  return encodedPairs(
    conditions.map((one) => [
      one.keyName,
      `${one.condition === "fullText" ? one.searchFunction : one.condition}.${one.keyValue}`,
    ]),
  );
}

function get(call, index) {
  const conditions = call.param("filters", index, {}).conditions ?? [];
  const pairs = conditions.map(({ keyName, keyValue }) => [keyName, `eq.${keyValue}`]);
  return send(call, index, "GET", encodedPairs(pairs));
}

function getAll(call, index) {
  const filter = filterOf(call, index, "manual", true) ?? "";
  const page = (pairs) => send(call, index, "GET", withPairs(`?${filter}`, pairs).replace(/^\?&?/, ""));
  if (call.param("returnAll", index, false) !== true) return page([["limit", call.param("limit", index, 50)]]);
  const rows = [];
  for (;;) {
    const found = page(rows.length > 0 ? [["offset", rows.length]] : []);
    rows.push(...found);
    if (found.length < PAGE) return rows;
  }
}

function chosen(call, index) {
  const filter = filterOf(call, index, "manual", false);
  if (!filter) throw new NodeError("At least one select condition must be defined");
  return filter;
}

function update(call, index) {
  const filter = chosen(call, index);
  return send(call, index, "PATCH", filter, rowOf(call, index));
}

function remove(call, index) {
  return send(call, index, "DELETE", chosen(call, index));
}
