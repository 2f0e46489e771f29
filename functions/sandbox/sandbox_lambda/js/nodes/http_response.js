// The items that HTTP Request makes of a response.

import { NodeError } from "../errors.js";
import { contentType, fileOfResponse, jsonOf, requireSuccess, statusText } from "../requests.js";
import { isPlainObject } from "../values.js";

const FILES = /^(image|audio|video|font)\/|^application\/(octet-stream|pdf|zip|gzip|vnd\.(openxml|ms-))/;

/** Return the items of a response. Raises NodeError for a status that says an error, unless the node wants those, too. */
export function itemsOf(call, index, response) {
  const isOld = call.version < 3;
  const options = call.param("options", index, {});
  const wanted = isOld ? options : (options.response?.response ?? {});
  const ignoresErrors = isOld ? wanted.ignoreResponseCode === true : wanted.neverError === true;
  if (response.error || (!ignoresErrors && !isPageEnd(call, index, response))) requireSuccess(response);
  const format = isOld ? call.param("responseFormat", index, "json") : (wanted.responseFormat ?? "autodetect");
  const isFull = wanted.fullResponse === true;
  const head = { headers: response.headers, statusCode: response.status, statusMessage: statusText(response) };
  if (format === "file" || (format === "autodetect" && isFile(response))) {
    const field = isOld ? call.param("dataPropertyName", index, "data") : (wanted.outputPropertyName ?? "data");
    const json = format === "file" ? call.items[index].json : {};
    return [{ json: isFull ? head : json, binary: { [field]: fileOfResponse(response) } }];
  }
  const text = response.text ?? "";
  if (isText(format, response)) {
    const field = isOld ? call.param("dataPropertyName", index, "data") : (wanted.outputPropertyName ?? "data");
    const isJson = isOld && contentType(response).includes("application/json");
    const value = format === "autodetect" && text === "" ? {} : { [field]: isJson ? (jsonOf(response) ?? text) : text };
    return [{ json: isFull ? { ...value, ...head } : value }];
  }
  const body = parsed(call, format, text);
  if (isFull) return [{ json: body === undefined ? head : { body, ...head } }];
  if (Array.isArray(body) && (!isOld || wanted.splitIntoItems === true))
    return body.map((one) => ({ json: asObject(one) }));
  return [{ json: asObject(body) }];
}

/** A page that ends the list by its status is no error. */
function isPageEnd(call, index, response) {
  const pagination = call.version < 3 ? undefined : call.param("options", index, {}).pagination?.pagination;
  if (pagination?.paginationCompleteWhen !== "receiveSpecificStatusCodes") return false;
  return statusCodes(pagination).includes(response.status);
}

export const statusCodes = ({ statusCodesWhenComplete = "" }) =>
  String(statusCodesWhenComplete)
    .split(",")
    .map((code) => Number(code.trim()));

const isFile = (response) => response.base64 !== undefined || FILES.test(contentType(response));

function isText(format, response) {
  if (format === "autodetect") return !contentType(response).includes("application/json") && response.text !== "";
  return format === "text" || format === "string";
}

function parsed(call, format, text) {
  if (text === "" && format !== "json") return undefined;
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    if (format === "autodetect") throw new NodeError("Invalid JSON in response body");
    value = text;
  }
  if (typeof value === "string") {
    const text = call.version < 3 ? "String" : "Text";
    throw new NodeError(`Response body is not valid JSON. Change "Response Format" to "${text}"`);
  }
  return value;
}

/** Our items are objects. What is none is in a field, as where items come from a webhook. */
function asObject(value) {
  if (value === null || value === undefined) return {};
  return isPlainObject(value) ? value : { data: value };
}
