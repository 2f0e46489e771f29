// The tools of an agent: nodes that run with the arguments that the model writes.

import { shortTypeOf } from "../node_types.js";
import { toolCode } from "./code_tool.js";
import { calculated, serpResult, wikipediaResult } from "./own_tools.js";
import { decidedByModel, schemaOf } from "./schemas.js";

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
export async function toolsOf(call, index, sender) {
  // The model gets the last connected first, as in n8n.
  const nodes = call.attached("ai_tool").filter((node) => !node.disabled);
  return nodes.reverse().map((node) => toolOf(call, node, index, sender));
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
  const isAgent = type === "agentTool";
  return {
    name,
    description: isAgent ? call.resolved(node.parameters.toolDescription, index) || AGENT : describe(call, node, index),
    parameters: schemaOf(decidedByModel(isAgent ? node.parameters.text : node.parameters)),
    use: async (given, id) => itemsText(await ran(call, node, { index, sender, given, id })),
  };
}

const nameOf = (name) => name.replace(/[^a-zA-Z0-9_-]+/g, "_").slice(0, 64) || "_";

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

/** Run the node for the item. Its expressions see the item with the arguments, and $fromAI gives these. */
async function ran(call, node, { index, sender, given, id }) {
  const decided = new Map(decidedByModel(node.parameters).map((one) => [one.key, one.otherwise]));
  const $fromAI = (key) => given[key] ?? decided.get(key);
  const json = call.version >= 3 ? { ...call.items[index].json, ...given, toolCallId: id } : call.items[index].json;
  const tool = { ...node, type: shortTypeOf(node).replace(/Tool$/, "") };
  return call.runTool(tool, { ...call.items[index], json }, index, sender, {
    $fromAI,
    $fromAi: $fromAI,
    $fromai: $fromAI,
  });
}

function itemsText(outputs) {
  const items = outputs?.[0] ?? [];
  return JSON.stringify(items.map(({ json }) => json));
}
