// Twilio: text messages, WhatsApp messages, and calls. The account is the user of the credentials.

import { NodeError } from "../errors.js";
import { exchange, formOf } from "../requests.js";
import { forEachItem, requireParameters } from "./items.js";

const API = "https://api.twilio.com/2010-04-01/Accounts/{user}";
const REQUIRED = [
  { name: "from", label: "From" },
  { name: "to", label: "To" },
  { name: "message", label: "Message" },
];

export function twilioNode(call) {
  const resource = call.param("resource", 0, "sms");
  const work = { sms: message, call: phoneCall }[resource];
  if (!work) throw new NodeError(`The resource '${resource}' is not supported`);
  requireParameters(call, REQUIRED);
  return [forEachItem(call, (index) => work(call, index), { isPaired: false })];
}

function send(call, index, path, fields) {
  const options = call.param("options", index, {});
  // An address that an expression did not give is left out; one that the node does not have is empty.
  const StatusCallback = "statusCallback" in options ? options.statusCallback : "";
  const form = { From: call.param("from", index), To: call.param("to", index), ...fields };
  const content = formOf({ ...form, StatusCallback });
  return exchange(call, { method: "POST", url: `${API}/${path}`, content, credentials: "twilioApi" });
}

function message(call, index) {
  const isWhatsApp = call.param("toWhatsapp", index, false);
  const numbers = isWhatsApp
    ? { From: `whatsapp:${call.param("from", index)}`, To: `whatsapp:${call.param("to", index)}` }
    : {};
  return send(call, index, "Messages.json", { ...numbers, Body: call.param("message", index) });
}

function phoneCall(call, index) {
  const text = call.param("message", index);
  if (call.param("twiml", index, false)) return send(call, index, "Calls.json", { Twiml: text });
  if (text === null || text === undefined) throw new NodeError(`Cannot read properties of ${text} (reading 'replace')`);
  if (typeof text !== "string") throw new NodeError("str.replace is not a function");
  return send(call, index, "Calls.json", { Twiml: `<Response><Say>${escaped(text)}</Say></Response>` });
}

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
const escaped = (text) => text.replace(/[&<>"']/g, (letter) => ESCAPES[letter]);
