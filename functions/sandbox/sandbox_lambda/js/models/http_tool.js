// The tool that sends one HTTP request, in which the model fills in places such as {city} and fields without a value.

import { NodeError } from "../errors.js";
import { authOf, encodedUrl, jsonOf, responsesTo, withPairs } from "../requests.js";

const PLACE = /\{([a-zA-Z0-9_-]+)\}/g;
const OBJECT = { type: "object", additionalProperties: {} };
const PARTS = {
  query: { list: "parametersQuery", kind: "specifyQuery", json: "jsonQuery", whole: "qs", is: "sendQuery" },
  headers: {
    list: "parametersHeaders",
    kind: "specifyHeaders",
    json: "jsonHeaders",
    whole: "headers",
    is: "sendHeaders",
  },
  body: { list: "parametersBody", kind: "specifyBody", json: "jsonBody", whole: "body", is: "sendBody" },
};
const WHOLE = { query: "Query parameters", headers: "Headers", body: "Body parameters" };

export function httpTool(call, node, { index, sender, name }) {
  const own = call.callFor(node, index, sender);
  const parameters = own.resolved(node.parameters, 0);
  const { properties, required } = argumentsOf(node, parameters);
  return {
    name,
    description: String(parameters.toolDescription ?? ""),
    parameters: {
      type: "object",
      properties,
      ...(required.length > 0 ? { required } : {}),
      additionalProperties: false,
    },
    use: (given) => {
      const [response] = responsesTo(sender, [requestFor(parameters, given)]);
      return textOf(parameters, response);
    },
  };
}

/** Return what the model fills in: the places in texts, and fields whose value it provides. */
function argumentsOf(node, parameters) {
  const defined = new Map((parameters.placeholderDefinitions?.values ?? []).map((one) => [one.name, one]));
  const properties = {};
  const required = [];
  const add = (key, schema, isRequired = true) => {
    if (!(key in properties) && isRequired) required.push(key);
    properties[key] ??= schema;
  };
  const addPlaces = (text) => {
    for (const [, key] of String(text ?? "").matchAll(PLACE)) add(key, schemaOf(defined.get(key)));
  };
  addPlaces(parameters.url);
  for (const [part, { list, kind, json, whole, is }] of Object.entries(PARTS)) {
    if (parameters[is] !== true) continue;
    if (parameters[kind] === "model")
      add(whole, { ...OBJECT, description: `${WHOLE[part]} as pairs of keys and values` });
    else if (parameters[kind] === "json") addPlaces(parameters[json]);
    else {
      const values = parameters[list]?.values ?? [];
      for (const one of values)
        if (one.valueProvider !== "fieldValue")
          add(one.name, schemaOf(defined.get(one.name)), one.valueProvider !== "modelOptional");
      for (const one of values) if (one.valueProvider === "fieldValue") addPlaces(one.value);
    }
  }
  const unused = [...defined.keys()].filter((key) => key && !(key in properties));
  if (unused.length > 0) throw new NodeError(`Error in sub-node ${node.name}`);
  return { properties, required };
}

function schemaOf({ type, description } = {}) {
  const described = description ? { description } : {};
  if (type === "json") return { ...OBJECT, ...described };
  return { type: ["number", "boolean"].includes(type) ? type : "string", ...described };
}

function requestFor(parameters, given) {
  const { method = "GET", authentication = "none", genericAuthType, nodeCredentialType } = parameters;
  const body = parameters.sendBody === true ? fieldsOf(parameters, PARTS.body, given) : undefined;
  const headers = parameters.sendHeaders === true ? fieldsOf(parameters, PARTS.headers, given) : {};
  const query = parameters.sendQuery === true ? fieldsOf(parameters, PARTS.query, given) : {};
  const url = String(parameters.url ?? "").replace(PLACE, (_, key) => textFor(given[key]));
  const credentials = authentication === "none" ? undefined : (genericAuthType ?? nodeCredentialType);
  const written = (fields) => Object.entries(fields).map(([key, value]) => [key, textFor(value)]);
  return {
    method,
    url: withPairs(encodedUrl(url), written(query)),
    headers: {
      accept: "application/json, text/plain, */*",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...Object.fromEntries(written(headers).map(([key, value]) => [key.toLowerCase(), value])),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(credentials ? { auth: authOf(credentials) } : {}),
  };
}

const textFor = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? ""));

/** Return the fields of the query, the headers or the body: fixed ones before those of the model. */
function fieldsOf(parameters, { list, kind, json, whole }, given) {
  if (parameters[kind] === "model") return given[whole] ?? {};
  if (parameters[kind] === "json") return filledIn(String(parameters[json] ?? "{}"), given);
  const values = parameters[list]?.values ?? [];
  const fixed = values.filter((one) => one.valueProvider === "fieldValue");
  const decided = values.filter((one) => one.valueProvider !== "fieldValue" && given[one.name] !== undefined);
  const filled = (text) => (typeof text === "string" ? text.replace(PLACE, (_, key) => textFor(given[key])) : text);
  return Object.fromEntries([
    ...fixed.map((one) => [one.name, filled(one.value)]),
    ...decided.map((one) => [one.name, given[one.name]]),
  ]);
}

/** Return JSON in which places were filled in: in quotes a part of the text, elsewhere any value. */
function filledIn(text, given) {
  const inQuotes = (key) => JSON.stringify(textFor(given[key])).slice(1, -1);
  const filled = text
    .replace(/"(?:[^"\\]|\\.)*"/g, (quoted) => quoted.replace(PLACE, (_, key) => inQuotes(key)))
    .replace(/(?<!")\{([a-zA-Z0-9_-]+)\}(?!")/g, (_, key) => JSON.stringify(given[key] ?? null));
  try {
    return JSON.parse(filled);
  } catch {
    throw new NodeError("Input provided by model is not valid");
  }
}

function textOf(parameters, response) {
  if (response.error !== undefined) return `There was an error: "${response.error}"`;
  if (response.text === undefined && response.base64 !== undefined)
    return 'There was an error: "Binary data is not supported"';
  const json = jsonOf(response);
  const text = json === undefined ? (response.text ?? "") : JSON.stringify(json, null, 2);
  if (response.status >= 300)
    return `HTTP ${response.status} There was an error: "Request failed with status code ${response.status}"\nResponse body: ${text}`;
  return json !== undefined && parameters.optimizeResponse === true
    ? JSON.stringify(chosen(parameters, json), null, 2)
    : text;
}

/** Return the part of the answer that the author chose for the model. */
function chosen({ responseType = "json", dataField, fieldsToInclude = "all", fields = "" }, json) {
  if (responseType !== "json") return json;
  const found = dataField ? json?.[dataField] : json;
  if (dataField && found === undefined) throw new NodeError(`Target field "${dataField}" not found in response.`);
  const names = String(fields)
    .split(",")
    .map((name) => name.trim());
  if (fieldsToInclude === "all") return found;
  const pick = (entry) =>
    typeof entry !== "object" || entry === null
      ? entry
      : Object.fromEntries(
          Object.entries(entry).filter(([key]) => names.includes(key) === (fieldsToInclude === "selected")),
        );
  return Array.isArray(found) ? found.map(pick) : pick(found);
}
