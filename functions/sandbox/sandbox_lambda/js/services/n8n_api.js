// The API of an n8n of the tenant: workflows, executions and credentials.

import { NodeError } from "../errors.js";
import { eachAtOnce } from "../models/at_once.js";
import { itemsOf } from "../models/settings.js";
import { exchange, responsesTo } from "../requests.js";

const API = "https://{host}/api/v1";
const WORKFLOW_FILTERS = {
  activeWorkflows: "active",
  tags: "tags",
  name: "name",
  projectId: "projectId",
  excludePinnedData: "excludePinnedData",
};
const PAGE = 100;

export async function n8nNode(call) {
  const resource = call.param("resource", 0, "workflow");
  const operation = call.param("operation", 0, "getAll");
  const work = OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' is not supported`);
  const results = await eachAtOnce(call, (index, sender) => {
    const send = (method, path, fields = {}) =>
      exchange(
        { send: (requests) => responsesTo(sender, requests) },
        {
          method,
          url: `${API}${path}`,
          credentials: "n8nApi",
          headers: { "content-type": "application/json" },
          ...fields,
        },
      );
    return [work(call, index, send)].flat();
  });
  return [
    itemsOf(call, results).flatMap(({ json, pairedItem }) =>
      // As in n8n, an error does not say from which item it came.
      Array.isArray(json) ? json.map((one) => ({ json: one ?? {}, pairedItem })) : [{ json }],
    ),
  ];
}

/** Return all entries of a list, or the first page. */
function listed(call, index, send, path, query) {
  const isAll = call.param("returnAll", index, path === "/workflows");
  const found = [];
  for (let cursor; ;) {
    const limit = isAll ? {} : { limit: call.param("limit", index, PAGE) };
    const page = send("GET", path, { query: { ...limit, ...query, ...(cursor ? { cursor } : {}) } });
    found.push(...(page?.data ?? []));
    cursor = page?.nextCursor;
    if (!isAll || !cursor) return found;
  }
}

function workflows(call, index, send) {
  const filters = call.param("filters", index, {});
  const named = Object.entries(WORKFLOW_FILTERS).filter(([name]) => filters[name] !== undefined);
  return listed(
    call,
    index,
    send,
    "/workflows",
    Object.fromEntries(named.map(([name, field]) => [field, filters[name]])),
  );
}

function executions(call, index, send) {
  const { workflowId, status } = call.param("filters", index, {});
  const id = idOf(workflowId);
  return listed(call, index, send, "/executions", {
    ...(id ? { workflowId: id } : {}),
    ...(status ? { status } : {}),
    ...withData(call, index),
  });
}

const withData = (call, index) =>
  call.param("options", index, {}).activeWorkflows === true ? { includeData: true } : {};

const idOf = (named) => (typeof named === "object" && named !== null ? (named.value ?? "") : (named ?? ""));
const at = (call, index, name) => encodeURIComponent(String(idOf(call.param(name, index, ""))));

const ofWorkflow =
  (method, end = "") =>
  (call, index, send) =>
    send(method, `/workflows/${at(call, index, "workflowId")}${end}`);

/** Return what a workflow's text says, as far as the API takes it. */
function written(call, index) {
  try {
    const {
      name,
      nodes = [],
      settings = {},
      connections = {},
      staticData,
    } = JSON.parse(call.param("workflowObject", index, ""));
    return { body: { name, nodes, settings, connections }, staticData };
  } catch {
    throw new NodeError("The 'workflowObject' property must be valid JSON, but cannot be parsed");
  }
}

const OPERATIONS = {
  workflow: {
    getAll: workflows,
    get: ofWorkflow("GET"),
    delete: ofWorkflow("DELETE"),
    activate: ofWorkflow("POST", "/activate"),
    deactivate: ofWorkflow("POST", "/deactivate"),
    create(call, index, send) {
      const { body, staticData = null } = written(call, index);
      return send("POST", "/workflows", { body: { ...body, staticData } });
    },
    update(call, index, send) {
      const { body, staticData } = written(call, index);
      const sent = { ...body, ...(staticData === undefined ? {} : { staticData }) };
      return send("PUT", `/workflows/${at(call, index, "workflowId")}`, { body: sent });
    },
  },
  execution: {
    getAll: executions,
    get: (call, index, send) =>
      send("GET", `/executions/${at(call, index, "executionId")}`, { query: withData(call, index) }),
    delete: (call, index, send) => send("DELETE", `/executions/${at(call, index, "executionId")}`),
  },
};
