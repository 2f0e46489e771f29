// HTTP Request, versions 1 to 4. The requests of all items are sent at the same time, as in n8n.

import { NodeError } from "../errors.js";
import { HttpError, authOf, bracketed, encodedUrl, jsonOf, withPairs } from "../requests.js";
import { jsonFrom, requireParameters } from "../services/items.js";
import { isPlainObject } from "../values.js";
import { bodyOf, pairsOf } from "./http_body.js";
import { itemsOf } from "./http_response.js";
import { pagesOf } from "./http_pages.js";

const ACCEPT_JSON = "application/json,text/*;q=0.99";
const ACCEPT_ANY =
  "application/json,text/html,application/xhtml+xml,application/xml,text/*;q=0.9, image/*;q=0.8, */*;q=0.7";

export function httpRequestNode(call) {
  requireParameters(call, [{ name: "url", label: "URL" }]);
  const prepared = call.items.map((_, index) => attempt(() => requestOf(call, index)));
  const results = prepared.map(({ error }) => ({ error, responses: [] }));
  for (const round of pagesOf(call, prepared, results)) {
    const responses = call.send(round.map(({ request }) => request));
    for (const [place, { index, request }] of round.entries())
      results[index].responses.push({ ...responses[place], url: request.url });
  }
  const outputs = results.map((result, index) => {
    const { error, value } = attempt(() => {
      if (result.error) throw result.error;
      return result.responses.flatMap((response) => itemsOf(call, index, response));
    });
    if (error && !call.continues) throw error;
    const items = error ? [{ json: { error: describe(call, error) } }] : value;
    return items.map((item) => ({ ...item, pairedItem: { item: index } }));
  });
  return [outputs.flat()];
}

/** Run a function, and return its value or what it threw. */
function attempt(run) {
  try {
    return { value: run() };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { error };
  }
}

/** Return what n8n's items say of an error. */
function describe(call, error) {
  if (!(error instanceof HttpError)) return error.message;
  const { response } = error;
  if (response.error) return { message: response.error, name: "Error" };
  const text = response.text ?? "";
  const shown = call.version < 3 ? JSON.stringify(jsonOf(response) ?? text) : JSON.stringify(text);
  const code = response.status < 500 ? "ERR_BAD_REQUEST" : "ERR_BAD_RESPONSE";
  return { message: `${response.status} - ${shown}`, name: "AxiosError", code, status: response.status };
}

/** Return the request of an item: {request, query, body}, with the query and the body as they were before encoding. */
function requestOf(call, index) {
  const isOld = call.version < 3;
  const options = call.param("options", index, {});
  const url = urlOf(call, index);
  const method = call.param(isOld ? "requestMethod" : "method", index, "GET");
  const query = isOld ? oldFields(call, index, "query") : fields(call, index, "Query");
  const headers = {};
  for (const [name, value] of Object.entries(
    isOld ? oldFields(call, index, "header") : fields(call, index, "Headers"),
  )) {
    if (name !== "" && value !== undefined) headers[name.toLowerCase()] = String(value);
  }
  const body = bodyOf(call, index, method);
  const format = isOld ? call.param("responseFormat", index, "json") : options.response?.response?.responseFormat;
  const auth = authentication(call, index);
  const fixed = auth?.secret === "notionapi" ? { "notion-version": "2022-02-22" } : {};
  return {
    query,
    body,
    finish({ url: other = url, query: more = {}, headers: moreHeaders = {}, body: moreBody = {} } = {}) {
      const whole = body.with(moreBody);
      const pairs = bracketed({ ...query, ...more }, options.queryParameterArrays ?? "indices");
      return {
        method,
        url: withPairs(encodedUrl(other), pairs),
        headers: {
          accept: format === "json" ? ACCEPT_JSON : ACCEPT_ANY,
          ...(whole.type === undefined ? {} : { "content-type": whole.type }),
          ...fixed,
          ...headers,
          ...moreHeaders,
        },
        ...(whole.content === undefined ? {} : { body: whole.content }),
        ...(auth ? { auth } : {}),
        redirects: followsRedirects(call, options) ? 10 : 0,
        seconds: Math.min(Math.max((options.timeout ?? 30_000) / 1000, 0.1), 60),
      };
    },
  };
}

function urlOf(call, index) {
  const raw = call.param("url", index);
  if (typeof raw !== "string")
    throw new NodeError(`URL parameter must be a string, got ${raw === null ? "null" : typeof raw}`);
  const url = raw.trim();
  if (!/^https?:\/\//i.test(url)) throw new NodeError(`Invalid URL: ${url}. URL must start with "http" or "https".`);
  return url;
}

function followsRedirects(call, options) {
  if (call.version < 3) return options.followRedirect !== false;
  const redirect = options.redirect?.redirect;
  return call.version < 4
    ? redirect !== undefined && redirect.followRedirects !== false
    : redirect?.followRedirects !== false;
}

/** Return the query or the headers of version 3 and later, by name. */
function fields(call, index, kind) {
  if (call.param(`send${kind}`, index, false) !== true) return {};
  if (call.param(`specify${kind}`, index, "keypair") === "json") {
    const name = `json${kind}`;
    return objectOf(call.jsonParam(name, index), kind === "Query" ? "JSON Query Parameters" : "JSON Headers");
  }
  const list = call.param(kind === "Query" ? "queryParameters" : "headerParameters", index, {}).parameters ?? [];
  return Object.fromEntries(pairsOf(list));
}

function oldFields(call, index, kind) {
  if (call.param("jsonParameters", index, false) === true) {
    const raw = call.jsonParam(`${kind}ParametersJson`, index, "");
    return raw === "" ? {} : objectOf(raw, `${kind === "query" ? "Query" : "Header"} Parameters`);
  }
  return Object.fromEntries(pairsOf(call.param(`${kind}ParametersUi`, index, {}).parameter ?? []));
}

function objectOf(raw, field) {
  const message = `The value in the "${field}" field is not valid JSON`;
  const value = jsonFrom(raw, message);
  if (!isPlainObject(value)) throw new NodeError(message);
  return value;
}

/** Credentials become the tenant's secrets. Those of version 1 are named by the way of signing in. */
function authentication(call, index) {
  const way = call.param("authentication", index, "none");
  if (way === "none") return null;
  const type = call.param(way === "predefinedCredentialType" ? "nodeCredentialType" : "genericAuthType", index, "");
  if (way === "predefinedCredentialType" || way === "genericCredentialType") return type ? authOf(type) : null;
  return authOf(`http${way[0].toUpperCase()}${way.slice(1)}`);
}
