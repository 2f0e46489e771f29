// WordPress: posts, pages and users of a site. Its host is in the credentials.

import { NodeError } from "../errors.js";
import { bracketed, encodedUrl, headerOf, jsonOf, responseTo, withPairs } from "../requests.js";
import { forEachItem, requireParameters } from "./items.js";

const API = "https://{host}/wp-json/wp/v2";
const PAGE = 10;

// Parameters of the node, and what the API calls them.
const TEXT = {
  authorId: "author",
  title: "title",
  content: "content",
  slug: "slug",
  password: "password",
  status: "status",
  commentStatus: "comment_status",
  pingStatus: "ping_status",
};
const USER = {
  username: "username",
  name: "name",
  firstName: "first_name",
  lastName: "last_name",
  email: "email",
  password: "password",
  url: "url",
  description: "description",
  nickname: "nickname",
  slug: "slug",
};
const FIELDS = {
  post: { ...TEXT, sticky: "sticky", categories: "categories", tags: "tags", format: "format", date: "date" },
  page: { ...TEXT, parent: "parent", menuOrder: "menu_order", featuredMediaId: "featured_media" },
  user: USER,
};
// Fields of a new thing that are parameters of their own, and are sent whatever they are.
const OWN = {
  post: ["title"],
  page: ["title"],
  user: ["username", "name", "firstName", "lastName", "email", "password"],
};
const LABELS = { title: "Title", username: "Username", name: "Name", firstName: "First Name", lastName: "Last Name" };
const QUERY = {
  context: "context",
  orderBy: "orderby",
  order: "order",
  search: "search",
  before: "before",
  after: "after",
  author: "author",
  categories: "categories",
  excludedCategories: "categories_exclude",
  tags: "tags",
  excludedTags: "tags_exclude",
  sticky: "sticky",
  parent: "parent",
  menuOrder: "menu_order",
  status: "status",
  who: "who",
  password: "password",
  force: "force",
};

const OPERATIONS = { create, update, get, getAll, delete: remove };

export function wordpressNode(call) {
  const resource = call.param("resource", 0, "post");
  const work = OPERATIONS[call.param("operation", 0, "create")];
  if (!work || !FIELDS[resource]) throw new NodeError(`The operation of '${resource}' is not supported`);
  if (work === create)
    requireParameters(
      call,
      OWN[resource].filter((name) => LABELS[name]).map((name) => ({ name, label: LABELS[name] })),
    );
  // As in n8n, what one item asks for stays for the items after it that do not ask for anything else.
  const query = {};
  return [forEachItem(call, (index) => work(call, index, resource, query), { isPaired: false })];
}

function send(call, method, path, { query = {}, body } = {}) {
  const url = withPairs(encodedUrl(`${API}/${path}`), bracketed(query, "indices"));
  const headers = method === "GET" ? {} : { "cache-control": "no-cache" };
  return responseTo(call, { method, url, body, headers, credentials: "wordpressApi" });
}

const answerOf = (response) => jsonOf(response) ?? response.text;

/** Return the fields that say something. */
function fieldsOf(resource, parameters) {
  const named = Object.entries(FIELDS[resource]).map(([from, to]) => [to, parameters[from]]);
  const fields = Object.fromEntries(named.filter(([, value]) => value));
  const template = parameters[`${resource}Template`];
  return template ? { ...fields, template: template.values?.template ?? "" } : fields;
}

function create(call, index, resource) {
  const fields = fieldsOf(resource, call.param("additionalFields", index, {}));
  const own = OWN[resource].map((name) => [FIELDS[resource][name], call.param(name, index, "")]);
  return answerOf(send(call, "POST", `${resource}s`, { body: { ...fields, ...Object.fromEntries(own) } }));
}

function update(call, index, resource) {
  const id = call.param(`${resource}Id`, index);
  const fields = fieldsOf(resource, call.param("updateFields", index, {}));
  return answerOf(send(call, "POST", `${resource}s/${id}`, { body: { id: Number.parseInt(id, 10), ...fields } }));
}

function addOptions(call, index, query) {
  const options = call.param("options", index, {});
  for (const [from, to] of Object.entries(QUERY)) if (options[from]) query[to] = options[from];
}

function get(call, index, resource, query) {
  addOptions(call, index, query);
  return answerOf(send(call, "GET", `${resource}s/${call.param(`${resource}Id`, index)}`, { query }));
}

function remove(call, index, resource, query) {
  // n8n would delete the account that signs in, whatever user is named.
  if (resource === "user") throw new NodeError("The operation 'delete' is not supported");
  addOptions(call, index, query);
  return answerOf(send(call, "DELETE", `${resource}s/${call.param(`${resource}Id`, index)}`, { query }));
}

function getAll(call, index, resource, query) {
  addOptions(call, index, query);
  if (call.param("returnAll", index, false) !== true) {
    query.per_page = call.param("limit", index, 5);
    return answerOf(send(call, "GET", `${resource}s`, { query }));
  }
  const all = [];
  for (let page = 1; ; page += 1) {
    Object.assign(query, { per_page: PAGE, page });
    const response = send(call, "GET", `${resource}s`, { query });
    all.push(...[answerOf(response)].flat());
    if (page >= Number(headerOf(response, "x-wp-totalpages") ?? 0)) return all;
  }
}
