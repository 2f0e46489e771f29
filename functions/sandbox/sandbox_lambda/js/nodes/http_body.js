// The body of an HTTP Request: JSON, a form, parts with files, text, or a file.

import { NodeError } from "../errors.js";
import { formOf, multipart, parsedForm } from "../requests.js";
import { jsonFrom } from "../services/items.js";
import { set } from "../values.js";

const NO_BODY = { content: undefined, type: undefined };

/** Return the pairs of a list of {name, value}. What is left out there is an empty text. */
export const pairsOf = (list) =>
  list.map((entry) => ["name" in entry ? String(entry.name) : "", "value" in entry ? entry.value : ""]);

/**
 * Return the body of an item's request. `with(more)` returns {content, type} of the body with more fields: `content` is a
 * text or {base64}, and undefined without a body.
 */
export function bodyOf(call, index, method) {
  if (call.version < 3) return oldBody(call, index, method);
  if (call.param("sendBody", index, false) !== true) return { with: () => NO_BODY };
  const kind = call.param("contentType", index, "json");
  const isText = kind === "raw" || kind === "binaryData";
  if (isText) return { with: () => (kind === "raw" ? rawBody(call, index) : fileBody(call, index)) };
  const way = call.param("specifyBody", index, "keypair");
  if (kind === "json" && way === "json") return jsonBody(parsedJson(call.jsonParam("jsonBody", index)));
  if (kind === "form-urlencoded" && way === "string")
    return formBody(parsedForm(String(call.param("body", index, ""))));
  const list = call.param("bodyParameters", index, {}).parameters ?? [];
  if (kind === "multipart-form-data") return { with: () => partsBody(call, index, list) };
  return kind === "json" ? jsonBody(nested(pairsOf(list))) : formBody(Object.fromEntries(pairsOf(list)));
}

function oldBody(call, index, method) {
  if (!["POST", "PUT", "PATCH", "DELETE"].includes(method)) return { with: () => NO_BODY };
  const options = call.param("options", index, {});
  const kind = options.bodyContentType ?? "json";
  if (call.param("sendBinaryData", index, false) === true)
    throw new NodeError("Files are not supported in this version");
  if (call.param("jsonParameters", index, false) === true) {
    const raw = call.jsonParam("bodyParametersJson", index, "");
    if (kind === "raw")
      return { with: () => ({ content: asText(raw), type: options.bodyContentCustomMimeType ?? "" }) };
    if (raw === "") return { with: () => NO_BODY };
    const value = parsedJson(raw);
    return kind === "form-urlencoded" ? formBody(value) : jsonBody(value);
  }
  const pairs = pairsOf(call.param("bodyParametersUi", index, {}).parameter ?? []);
  if (pairs.length === 0) return { with: () => NO_BODY };
  if (kind === "form-urlencoded") return formBody(Object.fromEntries(pairs));
  if (kind === "multipart-form-data")
    return {
      with: () =>
        partsBody(
          call,
          index,
          pairs.map(([name, value]) => ({ name, value })),
        ),
    };
  return jsonBody(nested(pairs));
}

function parsedJson(raw) {
  const message = 'The value in the "JSON Body" field is not valid JSON';
  const value = jsonFrom(raw, message);
  if (typeof value !== "object" || value === null) throw new NodeError(message);
  return value;
}

const jsonBody = (value) => ({
  with: (more) => ({
    content: JSON.stringify(Array.isArray(value) ? value : { ...value, ...more }),
    type: "application/json",
  }),
});

const formBody = (value) => ({ with: (more) => formOf({ ...value, ...more }) });

/** Names with dots are paths: "a.b" is a field of a field. */
function nested(pairs) {
  const body = {};
  for (const [name, value] of pairs) name === "" ? (body[name] = value) : set(body, name, value);
  return body;
}

const asText = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? ""));

const rawBody = (call, index) => ({
  content: asText(call.param("body", index, "")),
  type: call.param("rawContentType", index, ""),
});

/** Return the file of an item's binary field. */
function fileOf(call, index, field) {
  const file = call.items[index].binary?.[field];
  if (!file)
    throw new NodeError(
      `This operation expects the node's input data to contain a binary file '${field}', but none was found`,
    );
  return file;
}

function fileBody(call, index) {
  const file = fileOf(call, index, call.param("inputDataFieldName", index, "data"));
  return { content: { base64: file.data }, type: file.mimeType };
}

function partsBody(call, index, list) {
  const parts = list.map((entry) => {
    const name = String(entry.name ?? "");
    if (entry.parameterType === "formBinaryData")
      return { name, file: fileOf(call, index, entry.inputDataFieldName ?? "data") };
    if (typeof entry.value === "object" && entry.value !== null)
      throw new NodeError(`The form field '${entry.name}' is an object or a list; only text can be sent`);
    return { name, value: entry.value };
  });
  return multipart(parts);
}
