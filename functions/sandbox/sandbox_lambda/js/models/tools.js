// The tools of an agent: nodes that run with the arguments that the model writes.

import { NodeError } from "../errors.js";
import { mailsTo } from "../nodes/values.js";
import { shortTypeOf } from "../node_types.js";
import { responsesTo } from "../requests.js";
import { toolCode } from "./code_tool.js";
import { calculated, serpResult, wikipediaResult } from "./own_tools.js";
import { httpTool } from "./http_tool.js";
import { answerFrom, documentOf, passagesFor } from "./retrieval.js";
import { decidedByModel, schemaOf } from "./schemas.js";
import { modelSettings } from "./settings.js";

const INPUT = { type: "object", properties: { input: { type: "string" } }, additionalProperties: false };
const THINK = "Write down a thought, to reason in steps. This finds out nothing and changes nothing.";
const CALCULATE = "Calculates a mathematical expression, such as (2 + 3) * 4.";
const ENCYCLOPEDIA = "Looks a subject up in Wikipedia, and returns the beginnings of its pages.";
const SEARCH = "Searches the web, for what is new or not generally known. The input is what to search for.";
const AGENT = "Gives a task to another agent, which may have tools of its own.";

// What nodes without operations do.
const DESCRIPTIONS = {
  httpRequest: "Sends an HTTP request, and returns the response.",
  rssFeedRead: "Reads the entries of an RSS feed.",
  dateTime: "Calculates with dates and times.",
  crypto: "Hashes or signs a text, or makes a random one.",
};

/** Tools that are no other nodes. Each gets the text that the model writes, and returns one. */
const OWN = {
  toolThink: (_, text) => text,
  toolCalculator: (_, text) => calculated(text),
  toolSerpApi: serpResult,
  toolWikipedia: wikipediaResult,
};

/**
 * Return the tools of an agent for one item: [{name, description, parameters, use}]. `use` takes the model's arguments and
 * the call's id, and returns what the model is told.
 */
export function toolsOf(call, index, sender) {
  // The model gets the last connected first, as in n8n.
  const nodes = call.attached("ai_tool").filter((node) => !node.disabled);
  return withOwnNames(nodes.reverse().map((node) => toolOf(call, node, index, sender)));
}

/** Give tools of one name numbers: names of other scripts have nothing left of them. */
function withOwnNames(tools) {
  const taken = new Set();
  return tools.map((tool) => {
    let { name } = tool;
    for (let number = 2; taken.has(name.toLowerCase()); number += 1) name = `${tool.name.slice(0, 60)}_${number}`;
    taken.add(name.toLowerCase());
    return { ...tool, name };
  });
}

function toolOf(call, node, index, sender) {
  const type = shortTypeOf(node);
  const version = node.typeVersion ?? 1;
  const name = nameOf(node.name);
  const told = (text) => (call.version >= 3 ? JSON.stringify([{ response: text }]) : text);
  if (type === "toolCode") return toolCode(call, node, { index, sender, told, name, parameters: INPUT });
  if (type in OWN) {
    const { description } = node.parameters;
    const fixed = { toolCalculator: CALCULATE, toolSerpApi: SEARCH, toolWikipedia: ENCYCLOPEDIA }[type];
    return {
      name: type === "toolSerpApi" ? "search" : type === "toolThink" && version < 1.1 ? "thinking_tool" : name,
      description: fixed ?? call.resolved(description ?? THINK, index),
      parameters: INPUT,
      use: ({ input = "" }) => told(OWN[type](sender, String(input))),
    };
  }
  if (type === "toolHttpRequest") return httpTool(call, node, { index, sender, name });
  if (type === "toolWorkflow") return workflowTool(call, node, { index, sender, name });
  if (type.startsWith("vectorStore")) return storeTool(call, node, { index, sender, name });
  if (type === "toolVectorStore") return answeringTool(call, node, { index, sender, told, name });
  if (sendsMail(node)) return mailTool(call, node, { index, sender, name });
  const isAgent = type === "agentTool";
  return {
    name,
    description: isAgent ? call.resolved(node.parameters.toolDescription, index) || AGENT : describe(call, node, index),
    parameters: schemaOf(decidedByModel(isAgent ? node.parameters.text : node.parameters)),
    use: async (given, id) => itemsText(await ran(call, node, { index, sender, given, id })),
  };
}

/** Another workflow: its last items are the result. */
function workflowTool(call, node, { index, sender, name }) {
  const { description = "", workflowId, workflowInputs } = node.parameters;
  const version = node.typeVersion ?? 1;
  const mapped = workflowInputs?.value;
  const isMapped = typeof mapped === "object" && mapped !== null && Object.keys(mapped).length > 0;
  return {
    name: version < 2.2 ? nameOf(node.parameters.name || node.name) : name,
    description: call.resolved(description, index),
    parameters: isMapped ? schemaOf(decidedByModel(mapped)) : INPUT,
    use: (given) => {
      const inputs = isMapped
        ? withArguments(call, node, { index, sender, given }).resolved(mapped, 0)
        : { query: given.input };
      const workflow = workflowId?.cachedResultName ?? workflowId?.value ?? workflowId;
      const [answer] = responsesTo(sender, [{ call: { workflow: call.workflowName(workflow), inputs } }]);
      if (answer.error !== undefined) throw new NodeError(answer.error);
      return JSON.stringify(answer.items);
    },
  };
}

/** Return whether the tool sends mail, which a person approves first. */
function sendsMail(node) {
  const { resource = "message", operation = "send" } = node.parameters;
  const type = shortTypeOf(node);
  if (type === "emailSendTool") return operation === "send";
  return type === "gmailTool" && resource === "message" && ["send", "sendEmail"].includes(operation);
}

/** Mail that the model writes. The run goes on; the platform asks a person about the mail. */
function mailTool(call, node, { index, sender, name }) {
  const said = node.parameters.descriptionType === "manual" && node.parameters.toolDescription;
  return {
    name,
    description: said || "Writes an email, which is sent after a person has approved it.",
    parameters: schemaOf(decidedByModel(node.parameters)),
    use: (given) => {
      const own = withArguments(call, node, { index, sender, given });
      const text = (field) => own.param(field, 0, "");
      const isHtml = text(node.parameters.emailFormat === undefined ? "emailType" : "emailFormat") !== "text";
      const content = text("message") || text(isHtml ? "html" : "text");
      const mails = mailsTo(text("sendTo") || text("toEmail"), text("subject"), content, isHtml);
      if (mails.some(({ to }) => to === "")) throw new NodeError("The email has no address.");
      if (!String(content).trim()) throw new NodeError("The email has no text.");
      sender.mails.push(...mails);
      return JSON.stringify([{ status: "written: it is sent when a person has approved it" }]);
    },
  };
}

/** Passages of a vector store. */
function storeTool(call, node, { index, sender, name }) {
  const { toolName, toolDescription = "", topK } = node.parameters;
  return {
    name: nameOf(toolName || name),
    description: call.resolved(toolDescription, index),
    parameters: INPUT,
    use: ({ input }) =>
      JSON.stringify(passagesFor(sender, node, input, Number(call.resolved(topK, index))).map(documentOf)),
  };
}

/** The model's answer from passages of a vector store. */
function answeringTool(call, node, { index, sender, told, name }) {
  const { description = "", topK } = node.parameters;
  return {
    name: (node.typeVersion ?? 1) < 1.1 ? nameOf(node.parameters.name || node.name) : name,
    description: `Answers questions about ${call.resolved(description, index) || "what is stored"}.`,
    parameters: INPUT,
    use: ({ input }) => {
      const passages = passagesFor(sender, node, input, Number(call.resolved(topK, index)));
      return told(answerFrom(sender, modelSettings(call), { question: String(input), passages }));
    },
  };
}

export const nameOf = (name) => name.replace(/[^a-zA-Z0-9_-]+/g, "_").slice(0, 64) || "_";

/** Return what the tool is for: what the author says, or what the node does by itself. */
function describe(call, node, index) {
  const { descriptionType = "auto", toolDescription, resource, operation } = node.parameters;
  const type = shortTypeOf(node).replace(/Tool$/, "");
  const hasOperation = resource !== undefined || operation !== undefined;
  const said = call.resolved(toolDescription, index);
  if (said && (descriptionType === "manual" || !hasOperation)) return String(said);
  if (!hasOperation) return DESCRIPTIONS[type] ?? type;
  return `${[operation, resource].filter(Boolean).join(" ")} in ${type}`;
}

/** Return what gives the model's arguments in expressions. */
function argumentsOf(node, given) {
  const decided = new Map(decidedByModel(node.parameters).map((one) => [one.key, one.otherwise]));
  const $fromAI = (key) => given[key] ?? decided.get(key);
  return { $fromAI, $fromAi: $fromAI, $fromai: $fromAI };
}

function withArguments(call, node, { index, sender, given }) {
  const own = call.callFor(node, index, sender);
  own.show(argumentsOf(node, given));
  return own;
}

/** Run the node for the item. Its expressions see the item with the arguments, and $fromAI gives these. */
async function ran(call, node, { index, sender, given, id }) {
  const json = call.version >= 3 ? { ...call.items[index].json, ...given, toolCallId: id } : call.items[index].json;
  // An agent that is a tool has no other prompt than its own.
  const isAgent = shortTypeOf(node) === "agentTool";
  const parameters = isAgent ? { ...node.parameters, promptType: "define" } : node.parameters;
  const tool = { ...node, parameters, type: shortTypeOf(node).replace(/Tool$/, "") };
  return call.runTool(tool, { ...call.items[index], json }, index, sender, argumentsOf(node, given));
}

function itemsText(outputs) {
  const items = outputs?.[0] ?? [];
  return JSON.stringify(items.map(({ json }) => json));
}
