// GraphQL: a query or a mutation for each item.

import { NodeError } from "../errors.js";
import { authOf, encodedUrl, HttpError, jsonOf, Pending, requireSuccess, withPairs } from "../requests.js";
import { jsonFrom, requireParameters } from "./items.js";

const CREDENTIALS = {
  headerAuth: "httpHeaderAuth",
  basicAuth: "httpBasicAuth",
  queryAuth: "httpQueryAuth",
  customAuth: "httpCustomAuth",
  oAuth2: "oAuth2Api",
};

export function graphqlNode(call) {
  requireParameters(call, [
    { name: "endpoint", label: "Endpoint" },
    { name: "query", label: "Query" },
  ]);
  return [call.items.flatMap((_, index) => itemsOf(call, index))];
}

/** An answer with errors is an item, and if the node continues after errors, the errors are one more. */
function itemsOf(call, index) {
  const pairedItem = { item: index };
  const found = [];
  try {
    const answers = answersTo(call, index);
    found.push(...answers.map((json) => ({ json, pairedItem })));
    const errors = answers.flatMap((answer) => answer?.errors ?? []);
    if (errors.length > 0) throw new NodeError(messagesOf(errors));
    return found;
  } catch (error) {
    if (!call.continues || error instanceof Pending) throw error;
    return [...found, { json: { error: error.message }, pairedItem }];
  }
}

const messagesOf = (errors) => errors.map(({ message }) => message).join(", ");

function answersTo(call, index) {
  const response = sent(call, index);
  const answer = jsonOf(response);
  try {
    requireSuccess(response);
  } catch (error) {
    if (!(error instanceof HttpError) || !Array.isArray(answer?.errors)) throw error;
  }
  if (call.param("responseFormat", index, "json") === "string") {
    // A text that was asked for as JSON is read, as in n8n.
    const value = isJson(call, index) ? answer : response.text;
    return [value === undefined ? {} : { [call.param("dataPropertyName", index, "data")]: value }];
  }
  return Array.isArray(answer) ? answer : [answer];
}

const isJson = (call, index) => call.param("requestFormat", index, call.version < 1.1 ? "graphql" : "json") === "json";

function sent(call, index) {
  const param = (name, otherwise) => call.param(name, index, otherwise);
  const method = param("requestMethod", "POST");
  const query = param("query", "");
  const kind = CREDENTIALS[param("authentication", "none")];
  const headers = {};
  for (const { name, value } of param("headerParametersUi", {}).parameter ?? [])
    headers[String(name).toLowerCase()] = String(value);
  const request = { method, url: encodedUrl(String(param("endpoint", ""))), ...(kind ? { auth: authOf(kind) } : {}) };
  if (method === "GET") return call.send([{ ...request, url: withPairs(request.url, [["query", query]]), headers }])[0];
  const type = isJson(call, index) ? "application/json" : "application/graphql";
  const body = isJson(call, index)
    ? JSON.stringify({ query, variables: variablesOf(call, index), operationName: param("operationName") || null })
    : (query ?? "");
  return call.send([
    { ...request, headers: { accept: "application/json", "content-type": type, ...headers }, body },
  ])[0];
}

function variablesOf(call, index) {
  const raw = call.param("variables", index, "");
  return jsonFrom(raw || {}, `Using variables failed:\n${raw}\n\nWith error message:\nit is no JSON`);
}
