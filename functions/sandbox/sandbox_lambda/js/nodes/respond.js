// What the caller of a workflow's webhook gets.

import { NodeError } from "../errors.js";
import { fileOfItem } from "../services/items.js";
import { set } from "../values.js";

const EXAMPLE = '{"myField": "value"}';
const JSON_TYPE = "application/json; charset=utf-8";

/**
 * The first item makes the answer, and all items go on. The first answer of a run counts, or with `isLast` the last one. Where
 * no caller waits, nothing is done.
 */
export function respondToWebhookNode(call) {
  if (!call.isAnswering) return [call.items];
  const options = call.param("options", 0, {});
  const kind = call.param("respondWith", 0, "firstIncomingItem");
  const make = ANSWERS[kind];
  if (!make) throw new NodeError(`Answers of the kind '${kind}' are not supported`);
  const { body, headers, status = 200, base64 = false } = make(call, options);
  const own = Object.fromEntries(
    (options.responseHeaders?.entries ?? []).map(({ name, value }) => [String(name).toLowerCase(), String(value)]),
  );
  const answer = { status: Number(options.responseCode) || status, headers: { ...headers, ...own }, body, base64 };
  if (own["content-type"] && !base64) answer.headers["content-type"] = withCharset(own["content-type"]);
  if (answer.status < 200 || answer.status > 599) throw new NodeError(`An answer cannot have the status ${answer.status}`);
  call.answer(answer, call.node.parameters.isLast === true);
  if (call.node.parameters.enableResponseOutput !== true) return [call.items];
  return [call.items, [{ json: { body, headers: answer.headers, statusCode: answer.status } }]];
}

const ANSWERS = {
  firstIncomingItem: (call, options) => written(inField(options, call.items[0].json)),
  allIncomingItems: (call, options) =>
    written(
      inField(
        options,
        call.items.map(({ json }) => json),
      ),
    ),
  json: (call) => written(parsed(call.param("responseBody", 0, EXAMPLE))),
  text: (call) => written(call.param("responseBody", 0, "")),
  noData: () => written(undefined),
  redirect: (call) => {
    const { body, headers } = written(undefined);
    return { body, headers: { ...headers, location: String(call.param("redirectURL", 0, "")) }, status: 307 };
  },
  binary: fileAnswer,
};

/** As in n8n, a text is a page, whatever it says, and nothing has the type of JSON. */
function written(value) {
  if (typeof value === "string") return { body: value, headers: { "content-type": "text/html; charset=utf-8" } };
  const body = value === undefined || value === null ? "" : JSON.stringify(value);
  return { body, headers: { "content-type": JSON_TYPE } };
}

function parsed(value) {
  if (typeof value !== "string" || value === "") return value === "" ? undefined : value;
  try {
    return JSON.parse(value);
  } catch {
    throw new NodeError("Invalid JSON in 'Response Body' field");
  }
}

const inField = ({ responseKey }, value) => (responseKey ? set({}, responseKey, value) : value);

function fileAnswer(call) {
  const isNamed = call.param("responseDataSource", 0, "automatically") === "set";
  const [first = "data"] = Object.keys(call.items[0].binary ?? {});
  const file = fileOfItem(call, 0, isNamed ? call.param("inputFieldName", 0, "data") : first);
  return { body: file.data, headers: { "content-type": file.mimeType ?? "application/octet-stream" }, base64: true };
}

const withCharset = (type) => (/;\s*charset=/i.test(type) ? type : `${type}; charset=utf-8`);
