// Airtable, version 2: records of a table, and the tables of a base.

import { NodeError } from "../errors.js";
import { bracketed, exchange, withPairs } from "../requests.js";
import { mappedValues } from "./columns.js";
import { forEachItem, idOf, requireParameters } from "./items.js";

const API = "https://api.airtable.com/v0";
const CREDENTIALS = { airtableTokenApi: "airtableTokenApi", airtableOAuth2Api: "airtableOAuth2Api" };
const NO_MATCH = "Record matching provided keys was not found";

const REQUIRED = [
  { name: "base", label: "Base" },
  { name: "table", label: "Table" },
];
const OPERATIONS = { create, update, upsert: update, search, get, deleteRecord };

export function airtableNode(call) {
  if (call.param("resource", 0, "record") === "base") return [forEachItem(call, (index) => baseOf(call, index))];
  requireParameters(call, REQUIRED);
  const operation = call.param("operation", 0, "get");
  if (!OPERATIONS[operation]) throw new NodeError(`The operation '${operation}' is not supported`);
  // Until version 2.0, a search is made once.
  const once = operation === "search" && call.version < 2.1 ? { ...call, items: call.items.slice(0, 1) } : call;
  return [forEachItem(once, (index) => OPERATIONS[operation](call, index), { isPaired: false })];
}

function send(call, request) {
  const way = call.param("authentication", 0, "airtableTokenApi");
  return exchange(call, { credentials: CREDENTIALS[way] ?? "airtableTokenApi", ...request });
}

function tableUrl(call) {
  // Those of the first item count for all.
  const base = idIn(call, "base", "Base", /airtable\.com\/(app\w+)/);
  const table = idIn(call, "table", "Table", /airtable\.com\/app\w+\/(tbl\w+)/);
  return `${API}/${encodeURIComponent(base)}/${encodeURIComponent(table)}`;
}

function idIn(call, name, title, pattern) {
  const { mode, value } = call.param(name, 0, {});
  if (mode === "url" && !pattern.test(String(value)))
    throw new NodeError(
      `ERROR: ${title} parameter's value is invalid. This is likely because the URL entered is incorrect`,
    );
  return idOf(call, name, 0, pattern);
}

const flat = ({ id, createdTime, fields }) => ({ id, createdTime, ...fields });

function get(call, index) {
  return flat(send(call, { url: `${tableUrl(call)}/${encodeURIComponent(call.param("id", index, ""))}` }));
}

function deleteRecord(call, index) {
  return send(call, {
    method: "DELETE",
    url: `${tableUrl(call)}/${encodeURIComponent(call.param("id", index, ""))}`,
  });
}

function search(call, index) {
  const { fields, view } = call.param("options", index, {});
  const viewId = typeof view === "object" && view !== null ? view.value : view;
  const sort = (call.param("sort", index, {}).property ?? []).map(({ field, direction = "asc" }) => ({
    field,
    direction,
  }));
  const all = call.param("returnAll", index, true);
  const query = {
    filterByFormula: call.param("filterByFormula", index) || undefined,
    fields,
    sort,
    view: viewId || undefined,
    ...(all ? { pageSize: 100 } : { maxRecords: call.param("limit", index, 100) }),
  };
  return records(call, index, query).map(flat);
}

/** Return the records of all pages. */
function records(call, index, query) {
  const found = [];
  let offset;
  do {
    const page = send(call, { url: withPairs(tableUrl(call), encoded({ ...query, offset })) });
    found.push(...(page.records ?? []));
    offset = page.offset;
  } while (offset);
  return found;
}

const encoded = (query) => bracketed(query, "indices");

/** Return the fields that the node writes for an item. Of fields that are mapped by hand, empty ones are left out. */
function fieldsOf(call, index) {
  if (call.param("columns", index, {}).mappingMode !== "autoMapInputData") {
    const values = Object.entries(mappedValues(call, index));
    return Object.fromEntries(values.filter(([, one]) => one !== undefined && one !== null));
  }
  const { ignoreFields = "" } = call.param("options", index, {});
  const ignored = String(ignoreFields)
    .split(",")
    .map((name) => name.trim());
  return Object.fromEntries(Object.entries(call.items[index].json).filter(([name]) => !ignored.includes(name)));
}

const typecastOf = (call, index) => call.param("options", index, {}).typecast === true;

function create(call, index) {
  const body = { typecast: typecastOf(call, index), fields: fieldsOf(call, index) };
  return send(call, { method: "POST", url: tableUrl(call), body });
}

function update(call, index) {
  const isUpsert = call.param("operation", index) === "upsert";
  const { matchingColumns = [] } = call.param("columns", index, {});
  const { id, ...fields } = fieldsOf(call, index);
  const url = tableUrl(call);
  const typecast = typecastOf(call, index);
  const write = (body) => send(call, { method: "PATCH", url, body: { typecast, ...body } }).records;
  if (matchingColumns.includes("id")) return write({ records: [{ ...(id ? { id } : {}), fields }] });
  if (isUpsert) return write({ performUpsert: { fieldsToMergeOn: matchingColumns }, records: [{ fields }] });
  const matches = (record) => matchingColumns.every((name) => record.fields[name] === fields[name]);
  const found = records(call, index, { fields: matchingColumns, pageSize: 100 }).filter(matches);
  if (found.length === 0) throw new NodeError(NO_MATCH);
  const chosen = call.param("options", index, {}).updateAllMatches === true ? found : found.slice(0, 1);
  const changed = Object.fromEntries(Object.entries(fields).filter(([name]) => !matchingColumns.includes(name)));
  return write({ records: chosen.map((record) => ({ id: record.id, fields: changed })) });
}

function baseOf(call, index) {
  if (call.param("operation", index, "getMany") !== "getSchema") return send(call, { url: `${API}/meta/bases` }).bases;
  return send(call, { url: `${API}/meta/bases/${encodeURIComponent(idOf(call, "base", index))}/tables` }).tables;
}
