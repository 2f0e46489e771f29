// Facebook's Graph API: any node and edge, with fields, parameters and files.

import { NodeError } from "../errors.js";
import { bracketed, encodedUrl, exchange, multipart, withPairs } from "../requests.js";
import { fileOfItem, forEachItem, jsonFrom, requireParameters } from "./items.js";

const REQUIRED = [
  { name: "graphApiVersion", label: "Graph API Version" },
  { name: "node", label: "Node" },
];

export function facebookGraphApiNode(call) {
  requireParameters(call, REQUIRED);
  const hasFile = call.param("sendBinaryData", 0, false) === true;
  // A missing file stops the run, even if the node continues after errors.
  const files = hasFile ? call.items.map((_, index) => partOf(call, index)) : [];
  return [forEachItem(call, (index) => answerTo(call, index, files[index]), { isPaired: false })];
}

function answerTo(call, index, part) {
  const version = call.param("graphApiVersion", index, "");
  const edge = call.param("edge", index, "");
  const path = [version, `${call.param("node", index)}`, edge].filter((name) => name !== "").join("/");
  const url = `https://${call.param("hostUrl", index, "graph.facebook.com")}/${path}`;
  const method = call.param("httpRequestMethod", index, "GET");
  const answer = exchange(call, {
    method,
    url: withPairs(encodedUrl(url), bracketed(queryOf(call, index, method), "indices")),
    credentials:
      call.param("authType", 0, "accessToken") === "oAuth2" ? "facebookGraphApiOAuth2Api" : "facebookGraphApi",
    ...(part ? { content: multipart([part]) } : {}),
  });
  if (typeof answer === "string") throw new NodeError("Response body is not valid JSON.");
  // A list is one item.
  return [answer];
}

function queryOf(call, index, method) {
  const { fields, queryParameters, queryParametersJson } = call.param("options", index, {});
  const query = {};
  if (fields?.field && method === "GET") query.fields = fields.field.map(({ name = "" }) => name).join(",");
  for (const entry of queryParameters?.parameter ?? []) query[entry.name ?? ""] = "value" in entry ? entry.value : "";
  return { ...query, ...moreOf(queryParametersJson) };
}

/** Return the parameters that are JSON. n8n sends none of them if it cannot read the text. */
function moreOf(raw) {
  if (typeof raw !== "string") return {};
  try {
    return jsonFrom(raw, "no JSON");
  } catch (error) {
    if (error instanceof NodeError) return {};
    throw error;
  }
}

/** The field of the item may be named with the form's field before it: "source:data". */
function partOf(call, index) {
  const field = String(call.param("binaryPropertyName", index, ""));
  const [name, own] = field.includes(":") ? field.split(":") : ["file", field];
  return { name, file: fileOfItem(call, index, own) };
}
