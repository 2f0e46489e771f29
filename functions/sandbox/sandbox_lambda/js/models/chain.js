// The chain: one question to the model for each item.

import { NodeError } from "../errors.js";
import { promptFor } from "./agent.js";
import { answerTo, eachAtOnce } from "./at_once.js";
import { answerSchema, valueOf } from "./parsers.js";
import { itemsOf, modelSettings, textFrom, wantsJson } from "./settings.js";

const ROLES = { AIMessagePromptTemplate: "assistant", HumanMessagePromptTemplate: "user" };

export async function chainNode(call) {
  const schema = answerSchema(call);
  const settings = modelSettings(call);
  const isJson = schema === undefined && wantsJson(call);
  const results = await eachAtOnce(call, (index, sender) => {
    const { system, turns } = messagesOf(call, index);
    const asked = schema ?? (isJson ? { type: ["object", "array"] } : undefined);
    const request = { ...settings, system, turns, ...(asked ? { schema: asked } : {}) };
    const value = valueOf(answerTo(sender, request), asked);
    if (schema) return { output: value };
    // Since version 1.6, JSON of the model is the item.
    if (isJson && call.version >= 1.6) return Array.isArray(value) ? { data: value } : value;
    return { text: textFrom(value).trim() };
  });
  return [itemsOf(call, results)];
}

/** Return what is asked: {system, turns}. The last turn is the prompt. */
function messagesOf(call, index) {
  const prompt = call.version < 1.4 ? textFrom(call.param("prompt", index, "")) : promptFor(call, index, 1.4);
  const system = [];
  const turns = [];
  for (const { type, message, messageType = "text" } of call.param("messages", index, {}).messageValues ?? []) {
    if (messageType === "text" && message === "")
      throw new NodeError(`The '${call.node.name}' node has issues:\n- Parameter "Message" is required.`);
    if (messageType !== "text") throw new NodeError("Pictures cannot be shown to the model here");
    const text = textFrom(message);
    if (type in ROLES) turns.push({ role: ROLES[type], text });
    else system.push(text);
  }
  return { system: system.filter(Boolean).join("\n\n"), turns: [...turns, { role: "user", text: prompt }] };
}
