// Requests to other systems. Nothing here sends one: the run stops at a request whose response it does not have, the
// platform sends it, and runs the nodes again from their beginning with all responses so far.

import { NodeError } from "./errors.js";
import { fileOfBytes } from "./nodes/file_types.js";

/** Stops a run until these requests have responses. It is no error, so that no node can continue after it. */
export class Pending {
  constructor(requests) {
    this.requests = requests;
  }
}

/**
 * Return the responses to requests, in their order; those of one call are sent at the same time.
 *
 * A request has: method, url, headers, body (a text, or {base64}), auth {secret, place, name, prefix}, seconds,
 * redirects. A response has status, headers and a body, which is `text`, or `base64` if it is no text. If there was none,
 * it has an `error`.
 */
export function responsesTo(run, requests) {
  const first = run.sent;
  run.sent += requests.length;
  if (run.sent > run.responses.length) throw new Pending(requests.slice(Math.max(run.responses.length - first, 0)));
  return run.responses.slice(first, run.sent);
}

/** Return a URL whose path and query have no characters that a URL cannot have. What is encoded stays as it is. */
export const encodedUrl = (url) =>
  url.replace(/#.*$/s, "").replace(/[^\x21-\x7e]+|["<>`\\^]/g, (part) => encodeURIComponent(part.toWellFormed()));

/** Return a copy of the URL with more pairs in its query. */
export function withPairs(url, pairs) {
  if (pairs.length === 0) return url;
  return `${url}${url.includes("?") ? "&" : "?"}${encodedPairs(pairs)}`;
}

export const encodedPairs = (pairs) => pairs.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");

const encoded = (value) =>
  encodeURIComponent(String(value).toWellFormed()).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/**
 * Return the pairs of fields. Fields of objects have names such as a[b]. `lists` says how elements of lists are named:
 * "indices" a[0], "brackets" a[], "repeat" a. What is undefined is left out, and null is empty.
 */
export function bracketed(fields, lists) {
  const pairs = [];
  const add = (name, value) => {
    if (value === undefined) return;
    if (typeof value !== "object" || value === null) pairs.push([name, value ?? ""]);
    else if (Array.isArray(value))
      for (const [place, one] of value.entries())
        add({ indices: `${name}[${place}]`, brackets: `${name}[]`, repeat: name }[lists], one);
    else for (const [key, one] of Object.entries(value)) add(`${name}[${key}]`, one);
  };
  for (const [name, value] of Object.entries(fields)) add(name, value);
  return pairs;
}

/** Return the body of a form without files, as `multipart` does. */
export const formOf = (fields) => ({
  content: encodedPairs(bracketed(fields, "indices")),
  type: "application/x-www-form-urlencoded",
});

const latin1 = (text) => unescape(encodeURIComponent(text));

/**
 * Return the body of a form with files as {content, type}: a part has a name, and a value or a file {data, mimeType,
 * fileName}, whose name `fallback` is used if it has none.
 */
export function multipart(parts, fallback = "file") {
  const boundary = `----------------------------${Math.random().toString(16).slice(2, 14)}${Math.random().toString(16).slice(2, 14)}`;
  let content = "";
  for (const { name, value, file } of parts) {
    content += `--${boundary}\r\nContent-Disposition: form-data; name="${latin1(name)}"`;
    content += file
      ? `; filename="${latin1(file.fileName ?? fallback).replaceAll('"', "%22")}"\r\nContent-Type: ${file.mimeType}\r\n\r\n${atob(file.data)}\r\n`
      : `\r\n\r\n${latin1(String(value ?? ""))}\r\n`;
  }
  content += `--${boundary}--\r\n`;
  return { content: { base64: btoa(content) }, type: `multipart/form-data; boundary=${boundary}` };
}

/** Return the fields of a form's text. */
export function parsedForm(text) {
  const decoded = (part) => {
    try {
      return decodeURIComponent(part.replaceAll("+", " "));
    } catch {
      return part;
    }
  };
  const pairs = text.split("&").filter(Boolean);
  return Object.fromEntries(
    pairs.map((pair) => [decoded(pair.split("=")[0]), decoded(pair.split("=").slice(1).join("="))]),
  );
}

/** Return the value of a response's header, whose name is lower case here. */
export const headerOf = ({ headers = {} }, name) =>
  Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];

export const contentType = (response) => String(headerOf(response, "content-type") ?? "").toLowerCase();

const STATUS_TEXTS = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  206: "Partial Content",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Payload Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Entity",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

export const statusText = (response) => STATUS_TEXTS[response.status] ?? "";

/** Return the file of a response, as items have it in `binary`. */
export function fileOfResponse(response) {
  const mimeType = contentType(response).split(";")[0] || "application/octet-stream";
  const bytes =
    response.base64 === undefined ? unescape(encodeURIComponent(response.text ?? "")) : atob(response.base64);
  return fileOfBytes(bytes, { fileName: fileNameOf(response), mimeType });
}

/** Return the name that the server gave the file, or the last part of its URL. */
function fileNameOf({ headers, url = "" }) {
  const [, named] = /\bfilename="?([^";]+)/i.exec(headers?.["content-disposition"] ?? "") ?? [];
  return named?.trim() || (/^[a-z]+:\/\/[^/?#]+\/(?:[^?#]*\/)?([^/?#]+)/i.exec(url)?.[1] ?? undefined);
}

/** Return the JSON of a response, or undefined if it is none. */
export function jsonOf(response) {
  try {
    return JSON.parse(response.text);
  } catch {
    return undefined;
  }
}

/** How credentials of n8n are sent; all others are a bearer token. */
const PLACES = {
  httpBasicAuth: { place: "basic" },
  httpQueryAuth: { place: "query" },
  httpHeaderAuth: { place: "header" },
  httpCustomAuth: { place: "custom" },
  telegramApi: { place: "url" },
  facebookGraphApi: { place: "query", name: "access_token" },
  gitlabApi: { place: "header", name: "private-token" },
  githubApi: { place: "header", name: "authorization", prefix: "token " },
  googlePalmApi: { place: "query", name: "key" },
  wordpressApi: { place: "basic" },
  twilioApi: { place: "basic" },
  supabaseApi: { place: "header", name: "apikey", bearer_too: true },
  "discordOAuth2Api-bot": { place: "header", name: "authorization", prefix: "Bot " },
  discordWebhookApi: { place: "url" },
  hubspotApi: { place: "query", name: "hapikey" },
  n8nApi: { place: "header", name: "x-n8n-api-key" },
  serpApi: { place: "query", name: "api_key" },
  discordBotApi: { place: "header", name: "authorization", prefix: "Bot " },
};

/** Return how a request is signed in: with the tenant's secret that stands for credentials of this type. */
export function authOf(type) {
  const place = PLACES[type] ?? { place: "header", name: "authorization", prefix: "Bearer " };
  const secret = type.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return { secret, ...place };
}

/**
 * Send one request, and return the JSON of its response, or its text. `query` and `body` are objects; `content` is a body
 * as `multipart` returns it.
 */
export function exchange(call, fields) {
  const response = responseTo(call, fields);
  return jsonOf(response) ?? response.text;
}

/** Send one request, and return its response. It is as `exchange` has it. */
export function responseTo(call, fields) {
  const { method = "GET", url, query = {}, body, content, credentials, headers = {}, seconds } = fields;
  const sent = body === undefined ? content : { content: JSON.stringify(body), type: "application/json" };
  const [response] = call.send([
    {
      method,
      url: withPairs(url, bracketed(query, "repeat")),
      headers: { accept: "application/json", ...(sent ? { "content-type": sent.type } : {}), ...headers },
      ...(sent ? { body: sent.content } : {}),
      ...(credentials ? { auth: authOf(credentials) } : {}),
      ...(seconds ? { seconds } : {}),
    },
  ]);
  requireSuccess(response);
  return response;
}

export function requireSuccess(response) {
  if (response.error || response.status >= 300) throw new HttpError(response);
}

const MESSAGES = {
  400: "Bad request - please check your parameters",
  401: "Authorization failed - please check your credentials",
  402: "Payment required - perhaps check your payment details?",
  403: "Forbidden - perhaps check your credentials?",
  404: "The resource you are requesting could not be found",
  405: "Method not allowed - please check you are using the right HTTP method",
  429: "The service is receiving too many requests from you",
  500: "The service was not able to process your request",
  502: "Bad gateway - the service failed to handle your request",
  503: "Service unavailable - try again later or consider setting this node to retry automatically (in the node settings)",
  504: "Gateway timed out - perhaps try again later?",
  other: "Your request is invalid or could not be processed by the service",
};

function messageOf({ status, text = "" }) {
  if (status < 400) return `${status} - ${JSON.stringify(text)}`;
  return MESSAGES[status] ?? (status < 500 ? MESSAGES.other : MESSAGES[500]);
}

/** No response, or a status that says an error, with n8n's text for it. */
export class HttpError extends NodeError {
  constructor(response) {
    super(response.error ?? messageOf(response));
    this.response = response;
  }
}
