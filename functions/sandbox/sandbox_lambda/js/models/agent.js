// The agent: the model answers, or calls tools and sees their results, until it answers.

import { NodeError } from "../errors.js";
import { Pending } from "../requests.js";
import { answerTo, eachAtOnce, eachInTurn } from "./at_once.js";
import { remembered, remember, sessionOf } from "./memory.js";
import { answerSchema, valueOf } from "./parsers.js";
import { itemsOf, modelSettings, textFrom } from "./settings.js";
import { toolsOf } from "./tools.js";

const MOST_ROUNDS = 10;
const NO_PROMPT = "No prompt specified";

export async function agentNode(call) {
  const schema = answerSchema(call);
  const session = sessionOf(call);
  const settings = { ...modelSettings(call), ...(schema ? { schema } : {}) };
  // With a memory, an item sees what was said for the items before it.
  const each = session ? eachInTurn : eachAtOnce;
  const results = await each(call, (index, sender) => answerFor(call, { index, sender, schema, session, settings }));
  const items = itemsOf(call, results);
  call.write(results.flatMap(({ mails = [] }) => mails));
  return [items];
}

async function answerFor(call, { index, sender, schema, session, settings }) {
  const options = call.param("options", index, {});
  const most = options.maxIterations ?? MOST_ROUNDS;
  const prompt = promptFor(call, index, 1.7);
  const tools = toolsOf(call, index, sender);
  const offered = tools.map(({ name, description, parameters }) => ({ name, description, parameters }));
  const turns = [...remembered(sender, session), { role: "user", text: prompt }];
  const request = { ...settings, system: systemFor(call, options), ...(offered.length > 0 ? { tools: offered } : {}) };
  const steps = [];
  for (let round = 0; ; round += 1) {
    if (round >= most) return atTheEnd(call, most, options, steps);
    const answer = answerTo(sender, { ...request, turns });
    if (!answer.calls?.length) {
      const output = valueOf(answer, schema);
      remember(sender, session, prompt, textFrom(schema ? { output } : output));
      return { output, ...(options.returnIntermediateSteps ? { intermediateSteps: steps } : {}) };
    }
    turns.push({ role: "assistant", text: answer.text, calls: answer.calls });
    for (const asked of answer.calls) {
      const observation = await resultOf(tools, asked);
      turns.push({ role: "tool", text: observation, call_id: asked.id });
      const action = { tool: asked.name, toolInput: argumentsOf(asked), toolCallId: asked.id };
      steps.push({ action: { ...action, log: `Calling ${asked.name}` }, observation });
    }
  }
}

function atTheEnd(call, most, options, steps) {
  if (call.version >= 3)
    throw new NodeError(
      `Max iterations (${most}) reached. The agent could not complete the task within the allowed number of iterations.`,
    );
  const output = "Agent stopped due to max iterations.";
  return { output, ...(options.returnIntermediateSteps ? { intermediateSteps: steps } : {}) };
}

function argumentsOf({ arguments: text }) {
  try {
    const read = JSON.parse(text || "{}");
    return typeof read === "object" && read !== null && !Array.isArray(read) ? read : {};
  } catch {
    throw new NodeError("Model output doesn't fit required format");
  }
}

/** Return what the model is told about a call. A tool that fails is no failure of the agent. */
async function resultOf(tools, asked) {
  const tool = tools.find(({ name }) => name === asked.name || name.toLowerCase() === asked.name.toLowerCase());
  if (!tool) return `${asked.name} is not a valid tool, try another one.`;
  const given = argumentsOf(asked);
  try {
    return await tool.use(given, asked.id);
  } catch (error) {
    if (error instanceof Pending) throw error;
    return JSON.stringify([{ error: error.message }]);
  }
}

/** Return what a node asks: its own prompt or, by default `since` a version, what a chat before it asked. */
export function promptFor(call, index, since) {
  const isAuto = call.version >= since && call.param("promptType", index, "auto") === "auto";
  if (isAuto) {
    const asked = call.items[index].json.chatInput;
    if (asked === undefined || asked === null) throw new NodeError(NO_PROMPT);
    return textFrom(asked);
  }
  if (!call.node.parameters.text)
    throw new NodeError(`The '${call.node.name}' node has issues:\n- Parameter "Prompt (User Message)" is required.`);
  const text = call.param("text", index);
  if (text === undefined || text === null) throw new NodeError(NO_PROMPT);
  return textFrom(text);
}

function systemFor(call, options) {
  const byDefault = call.version < 1.9 ? "You are a helpful assistant" : "";
  return textFrom(options.systemMessage === undefined ? byDefault : options.systemMessage);
}
