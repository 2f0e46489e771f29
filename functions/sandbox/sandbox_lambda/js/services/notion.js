// Notion, version 2: pages of databases and of pages, databases, and blocks.

import { NodeError } from "../errors.js";
import { encodedUrl, exchange } from "../requests.js";
import { defined, forEachItem, idOf, jsonFrom, requireParameters } from "./items.js";
import { blocksOf, conditionOf, propertiesOf, simple } from "./notion_fields.js";

const API = "https://api.notion.com/v1";
const VERSION = { "notion-version": "2021-08-16" };

const UUID = "[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}";
const ID_IN_URL = new RegExp(`^https?://.*?(${UUID})`, "i");
const placeOf = (what) => ({ what, id: new RegExp(`^${UUID}$`, "i"), url: ID_IN_URL });

const DATABASE = [{ name: "databaseId", label: "Database", valid: placeOf("Notion Database") }];
const PAGE = { name: "pageId", valid: placeOf("Notion Database Page") };
const BLOCK = [{ name: "blockId", valid: placeOf("Notion Block") }];
const REQUIRED = {
  page: {
    create: [
      { ...PAGE, label: "Parent Page" },
      { name: "title", label: "Title" },
    ],
    archive: [PAGE],
  },
  databasePage: { create: DATABASE, getAll: DATABASE, get: [PAGE], update: [PAGE] },
  database: { get: DATABASE },
  block: { append: BLOCK, getAll: BLOCK },
};

const OPERATIONS = {
  page: { create: createPage, search, archive },
  databasePage: { create, update, get: getPage, getAll: queryDatabase },
  database: { get: getDatabase, getAll: listDatabases },
  block: { append: appendBlocks, getAll: listBlocks },
};
const DEFAULTS = { page: "create", databasePage: "create", database: "get", block: "append" };

export function notionNode(call) {
  const resource = call.param("resource", 0, "page");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  const work = OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' of '${resource}' is not supported`);
  requireParameters(call, REQUIRED[resource][operation] ?? []);
  // The property that is a page's title has another name in each database; it is looked up once.
  const title = work === create ? titleOf(call) : undefined;
  return [forEachItem(call, (index) => work(call, index, title))];
}

function send(call, method, path, { query, body } = {}) {
  const way = call.param("authentication", 0, "apiKey");
  const credentials = way === "oAuth2" ? "notionOAuth2Api" : "notionApi";
  return exchange(call, { method, url: encodedUrl(`${API}/${path}`), query, body, headers: VERSION, credentials });
}

const idAt = (call, name, index) => idOf(call, name, index, ID_IN_URL);

/** Return what the node returns for pages and databases: a flat form of them, if it is not told otherwise. */
const shown = (call, index, things) => (call.param("simple", index, true) === false ? things : things.map(simple));

/** Return the results of all pages, or of as many as the node wants. The cursor is sent as the other fields are. */
function list(call, index, method, path, fields = {}) {
  const sendPage = (more) =>
    send(call, method, path, { [method === "GET" ? "query" : "body"]: { ...fields, ...more } });
  if (call.param("returnAll", index, false) !== true) {
    const limit = call.param("limit", index, 50);
    return sendPage({ page_size: limit }).results.slice(0, limit);
  }
  const found = [];
  let cursor;
  do {
    const page = sendPage(defined({ start_cursor: cursor }));
    found.push(...page.results);
    cursor = page.has_more ? page.next_cursor : undefined;
  } while (cursor);
  return found;
}

function titleOf(call) {
  const { properties } = send(call, "GET", `databases/${idAt(call, "databaseId", 0)}`);
  return Object.keys(properties).find((name) => properties[name].type === "title");
}

function iconOf({ iconType = "emoji", icon }) {
  if (!icon) return undefined;
  return iconType === "file" ? { external: { url: icon } } : { emoji: icon };
}

const valuesOf = (call, index) => call.param("propertiesUi", index, {}).propertyValues ?? [];
const childrenOf = (call, index) => blocksOf(call.param("blockUi", index, {}).blockValues ?? []);

function create(call, index, titleName) {
  const title = call.param("title", index, "");
  const body = defined({
    parent: { database_id: idAt(call, "databaseId", index) },
    properties: {
      ...(title === "" ? {} : { [titleName]: { title: [{ text: { content: title } }] } }),
      ...propertiesOf(valuesOf(call, index)),
    },
    children: childrenOf(call, index),
    icon: iconOf(call.param("options", index, {})),
  });
  return shown(call, index, [send(call, "POST", "pages", { body })]);
}

function update(call, index) {
  const body = defined({
    properties: propertiesOf(valuesOf(call, index)),
    icon: iconOf(call.param("options", index, {})),
  });
  return shown(call, index, [send(call, "PATCH", `pages/${idAt(call, "pageId", index)}`, { body })]);
}

function getPage(call, index) {
  return shown(call, index, [send(call, "GET", `pages/${idAt(call, "pageId", index)}`)]);
}

function queryDatabase(call, index) {
  const options = call.param("options", index, {});
  if (options.downloadFiles === true) throw new NodeError("Files of pages cannot be downloaded");
  const sorts = (options.sort?.sortValue ?? []).map(({ key = "", direction = "", timestamp = false }) => ({
    direction,
    ...(timestamp ? { timestamp: key } : { property: key.split("|")[0] }),
  }));
  const path = `databases/${idAt(call, "databaseId", index)}/query`;
  return shown(call, index, list(call, index, "POST", path, defined({ filter: filterOf(call, index), sorts })));
}

function filterOf(call, index) {
  const kind = call.param("filterType", index, "none");
  if (kind === "json") return filterOfText(call.param("filterJson", index, ""));
  if (kind === "none") return undefined;
  const conditions = call.param("filters", index, {}).conditions ?? [];
  const all = call.param("matchType", index, "anyFilter") === "allFilters";
  return { [all ? "and" : "or"]: conditions.map(conditionOf) };
}

const filterOfText = (raw) => jsonFrom(raw, "Filters (JSON) must be a valid json");

function createPage(call, index) {
  const body = defined({
    parent: { page_id: idAt(call, "pageId", index) },
    properties: { title: [{ text: { content: call.param("title", index, "") } }] },
    children: childrenOf(call, index),
    icon: iconOf(call.param("options", index, {})),
  });
  return shown(call, index, [send(call, "POST", "pages", { body })]);
}

function archive(call, index) {
  const path = `pages/${idAt(call, "pageId", index)}`;
  return shown(call, index, [send(call, "PATCH", path, { body: { archived: true } })]);
}

function search(call, index) {
  const { filter, sort } = call.param("options", index, {});
  const fields = defined({
    query: call.param("text", index, "") || undefined,
    filter: filter?.filters,
    sort: sort?.sortValue && { ...sort.sortValue, timestamp: "last_edited_time" },
  });
  return shown(call, index, list(call, index, "POST", "search", fields));
}

function getDatabase(call, index) {
  return shown(call, index, [send(call, "GET", `databases/${idAt(call, "databaseId", index)}`)]);
}

function listDatabases(call, index) {
  const filter = { property: "object", value: "database" };
  return shown(call, index, list(call, index, "POST", "search", { filter }));
}

function appendBlocks(call, index) {
  const body = { children: childrenOf(call, index) };
  return send(call, "PATCH", `blocks/${idAt(call, "blockId", index)}/children`, { body });
}

function listBlocks(call, index) {
  if (call.param("fetchNestedBlocks", index, false) === true) throw new NodeError("Nested blocks cannot be fetched");
  const root = idAt(call, "blockId", index);
  return list(call, index, "GET", `blocks/${root}/children`).map(({ object, ...block }) => ({
    object,
    parent_id: root,
    ...block,
    root_id: root,
  }));
}
