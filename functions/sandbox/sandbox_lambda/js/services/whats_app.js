// WhatsApp: messages of a business, templates, and media.

import { NodeError } from "../errors.js";
import { encodedUrl, exchange } from "../requests.js";
import { defined, forEachItem, requireParameters } from "./items.js";

const API = "https://graph.facebook.com/v13.0";
const MEDIA = ["image", "video", "audio", "document"];

const RECIPIENT = [
  { name: "phoneNumberId", label: "Sender Phone Number (or ID)" },
  { name: "recipientPhoneNumber", label: "Recipient's Phone Number" },
];
const TEXT = { name: "textBody", label: "Text Body" };

const OPERATIONS = {
  message: { sendTemplate, send: sendMessage },
  media: { mediaUrlGet, mediaDelete },
};
const DEFAULTS = { message: "sendTemplate", media: "mediaUpload" };

export function whatsAppNode(call) {
  const resource = call.param("resource", 0, "message");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  const work = OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' of '${resource}' is not supported`);
  const hasText = operation === "send" && call.param("messageType", 0, "text") === "text";
  if (resource === "message") requireParameters(call, hasText ? [...RECIPIENT, TEXT] : RECIPIENT);
  return [forEachItem(call, (index) => work(call, index), { isPaired: false })];
}

const send = (call, method, path, body) =>
  exchange(call, { method, url: encodedUrl(`${API}/${path}`), body, credentials: "whatsAppApi" });

function post(call, index, fields) {
  const number = call.param("recipientPhoneNumber", index, "");
  if (number === undefined) throw new NodeError("Cannot read properties of undefined (reading 'replace')");
  if (typeof number !== "string") throw new NodeError("phoneNumber.replace is not a function");
  const to = number.replace(/[-+()]/g, "");
  const path = `${call.param("phoneNumberId", index, "")}/messages`;
  return send(call, "POST", path, { messaging_product: "whatsapp", to, ...fields });
}

function sendMessage(call, index) {
  const type = call.param("messageType", index, "text");
  const param = (name, otherwise) => call.param(name, index, otherwise);
  const { previewUrl, mediaCaption, mediaFilename } = param("additionalFields", {});
  if (type === "text")
    return post(call, index, { type, text: defined({ body: param("textBody"), preview_url: previewUrl }) });
  if (type === "location")
    return post(call, index, { type, location: { longitude: param("longitude", 0), latitude: param("latitude", 0) } });
  if (!MEDIA.includes(type)) throw new NodeError(`A message of type '${type}' is not supported`);
  const file = defined({ ...fileOf(param), caption: mediaCaption, filename: mediaFilename });
  return post(call, index, { type, [type]: file });
}

function fileOf(param) {
  const way = param("mediaPath", "useMediaLink");
  if (way === "useMediaId") return { id: param("mediaId") };
  if (way === "useMediaLink") return { link: param("mediaLink") };
  throw new NodeError("Files of items cannot be sent; give a link or a file's id");
}

function sendTemplate(call, index) {
  // The parameter has the template's name and its language.
  const [name, code] = String(call.param("template", index, "")).split("|");
  const components = (call.param("components", index, {}).component ?? []).map(componentOf);
  const template = { name, language: { code }, ...(components.length > 0 ? { components } : {}) };
  return post(call, index, { type: "template", template });
}

function componentOf({ type = "body", sub_type = "quick_reply", index = 0, ...parts }) {
  if (type === "body") return { type, parameters: (parts.bodyParameters?.parameter ?? []).map(parameterOf) };
  if (type === "header") return { type, parameters: (parts.headerParameters?.parameter ?? []).map(parameterOf) };
  if (type !== "button") throw new NodeError(`A component of type '${type}' is not supported`);
  return { type, sub_type, index: String(index), parameters: [parts.buttonParameters?.parameter ?? {}].flat() };
}

function parameterOf({ type = "text", text, code, amount_1000, fallback_value }) {
  if (type === "text") return { type, text };
  if (type === "currency") return { type, currency: { code, fallback_value, amount_1000: amount_1000 * 1000 } };
  throw new NodeError(`A parameter of type '${type}' is not supported`);
}

function mediaUrlGet(call, index) {
  return send(call, "GET", `${call.param("mediaGetId", index, "")}`);
}

function mediaDelete(call, index) {
  return send(call, "DELETE", `${call.param("mediaDeleteId", index, "")}`);
}
