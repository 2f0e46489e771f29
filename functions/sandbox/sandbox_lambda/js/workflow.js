// Runs the nodes of a workflow in n8n's order.

import { useZone } from "./dates.js";
import { NodeError } from "./errors.js";
import { resolve, resolveJson } from "./expressions.js";
import { shortTypeOf } from "./node_types.js";
import { NODES } from "./nodes/index.js";
import { paired } from "./pairing.js";
import { restore, saved } from "./repeatable.js";
import { Pending, responsesTo } from "./requests.js";
import { scopeOf } from "./scope.js";

const MAX_NODE_RUNS = 10_000;

/**
 * Run a workflow, or a part of one.
 *
 * `request` has: workflow {nodes, connections, settings}; given: [{node, outputs: [[object]]}], the nodes that ran
 * before, with the items of each output; execution: an id; now and seed: the run's time and what its random numbers come
 * from (repeatable.js); answers: whether a caller waits for an answer; returns: the nodes whose runs are returned, by default all;
 * responses: those to the requests so far (requests.js), none by default.
 * Returns {runs: {node: [{outputs: [[object]]} | {error}]}, error: {node, message} | null}: the runs of each node in
 * order, without the given nodes. `answer`, if there is one, is for who called the workflow's webhook (nodes/respond.js). `mails`
 * are those that agents wrote: {to, subject, text, html}. Or {runs: {}, error: null, requests}: they need responses first.
 */
export async function runWorkflow(request) {
  const run = prepare(request);
  for (const { node, outputs } of request.given) {
    record(run, node, { outputs: outputs.map((items) => items.map((json) => ({ json }))), source: [], isGiven: true });
  }
  // The last that is put on the stack runs first.
  for (const { node } of [...request.given].reverse()) leadOn(run, node, run.results[node][0].outputs, 0);
  try {
    const error = await finish(run);
    const { answer, mails } = run;
    const more = { ...(answer ? { answer } : {}), ...(mails.length > 0 ? { mails } : {}) };
    return { runs: runsOf(run, request.returns), error, ...more };
  } catch (stop) {
    if (!(stop instanceof Pending)) throw stop;
    return { runs: {}, error: null, requests: stop.requests };
  }
}

function runsOf(run, names) {
  const runs = Object.create(null);
  for (const [name, results] of Object.entries(run.results)) {
    if (results[0].isGiven || (names && !names.includes(name))) continue;
    runs[name] = results.map(({ outputs, error }) =>
      outputs ? { outputs: outputs.map((items) => items.map((item) => item.json)) } : { error },
    );
  }
  return runs;
}

function prepare({ workflow, execution = "", responses = [], answers = false }) {
  useZone(workflow.settings?.timezone && workflow.settings.timezone !== "DEFAULT" ? workflow.settings.timezone : "UTC");
  const nodes = Object.create(null);
  for (const node of workflow.nodes) nodes[node.name] = { parameters: {}, ...node };
  const connections = Object.create(null);
  const inputs = Object.create(null);
  const attached = Object.create(null);
  for (const [name, kinds] of Object.entries(workflow.connections ?? {})) {
    if (!(name in nodes)) continue;
    connections[name] = (kinds.main ?? []).map((targets) => (targets ?? []).filter((edge) => edge.node in nodes));
    for (const edge of connections[name].flat())
      inputs[edge.node] = Math.max(inputs[edge.node] ?? 0, (edge.index ?? 0) + 1);
    for (const [kind, targets] of Object.entries(kinds)) {
      if (kind === "main") continue;
      for (const edge of targets.flat()) ((attached[edge.node] ??= {})[kind] ??= []).push(nodes[name]);
    }
  }
  const isOldOrder = workflow.settings?.executionOrder !== "v1";
  return {
    workflow,
    nodes,
    connections,
    inputs,
    attached,
    execution,
    responses,
    sent: 0,
    mails: [],
    answer: null,
    places: Object.create(null),
    isAnswering: answers,
    isOldOrder,
    results: Object.create(null),
    towards: new Map(),
    memories: Object.create(null),
    stack: [],
    waiting: new Map(),
    count: 0,
  };
}

function record(run, name, result) {
  (run.results[name] ??= []).push(result);
  return run.results[name].length - 1;
}

const position = (run, name) => run.nodes[name].position ?? [0, 0];

/** Put the nodes that the outputs lead to on the stack: the upper node runs first, with all that follows it. */
function leadOn(run, name, outputs, runIndex) {
  const next = [];
  for (const [number, edges] of (run.connections[name] ?? []).entries()) {
    for (const edge of edges) {
      const items = outputs[number];
      if (items && (items.length > 0 || (edge.index ?? 0) > 0))
        next.push({ order: next.length, edge, items, source: { node: name, output: number, run: runIndex } });
    }
  }
  if (!run.isOldOrder) {
    next.sort((a, b) => {
      const [[ax, ay], [bx, by]] = [position(run, a.edge.node), position(run, b.edge.node)];
      return by - ay || bx - ax || b.order - a.order;
    });
  }
  for (const { edge, items, source } of next) deliver(run, edge.node, edge.index ?? 0, items, source);
}

function deliver(run, name, index, items, source) {
  const count = run.inputs[name] ?? 1;
  if (count === 1) {
    schedule(run, { name, inputs: [items], source: [source] });
    return;
  }
  const waiting = run.waiting.get(name) ?? [];
  let entry = waiting.find((candidate) => candidate.inputs[index] === null);
  if (!entry) {
    entry = { name, inputs: Array(count).fill(null), source: Array(count).fill(null) };
    waiting.push(entry);
    run.waiting.set(name, waiting);
  }
  entry.inputs[index] = items;
  entry.source[index] = source;
  if (entry.inputs.every((input) => input !== null)) {
    remove(run, entry);
    schedule(run, entry);
  }
}

function remove(run, entry) {
  const rest = run.waiting.get(entry.name).filter((candidate) => candidate !== entry);
  if (rest.length > 0) run.waiting.set(entry.name, rest);
  else run.waiting.delete(entry.name);
}

const schedule = (run, entry) => (run.isOldOrder ? run.stack.push(entry) : run.stack.unshift(entry));

/** Run until nothing is left. Returns the error that ended the run, or null. */
async function finish(run) {
  for (;;) {
    const entry = run.stack.shift() ?? incomplete(run);
    if (!entry) return null;
    run.count += 1;
    if (run.count > MAX_NODE_RUNS)
      return {
        node: entry.name,
        message: `More than ${MAX_NODE_RUNS} nodes ran: the workflow may have an endless loop.`,
      };
    const error = await runNode(run, entry);
    if (error) return error;
  }
}

/** Return a node that still waits for inputs that nothing will bring, if it can run without them. */
function incomplete(run) {
  const names = [...run.waiting.keys()].sort((a, b) => {
    const [[ax, ay], [bx, by]] = [position(run, a), position(run, b)];
    return ay - by || ax - bx;
  });
  for (const name of names) {
    const entry = run.waiting.get(name)[0];
    remove(run, entry);
    const { mode } = run.nodes[name].parameters;
    const needsAll =
      shortTypeOf(run.nodes[name]) === "merge" &&
      (mode === "chooseBranch" || ((run.nodes[name].typeVersion ?? 1) < 2 && ["passThrough", "wait"].includes(mode)));
    if (needsAll) continue;
    return { ...entry, inputs: entry.inputs.map((input) => input ?? []) };
  }
  return undefined;
}

async function runNode(run, { name, inputs, source }) {
  const node = run.nodes[name];
  const runIndex = run.results[name]?.length ?? 0;
  const given = node.executeOnce === true ? inputs.map((items) => items.slice(0, 1)) : inputs;
  const mode = node.onError ?? (node.continueOnFail === true ? "continueRegularOutput" : "stopWorkflow");
  let outputs;
  try {
    outputs = node.disabled === true ? [given[0]] : await attempts(run, node, given, source, runIndex);
    if (outputs && mode === "continueErrorOutput") outputs = withErrorOutput(node, outputs, given[0]);
  } catch (error) {
    if (error instanceof Pending) throw error;
    const message = error instanceof Error ? error.message : String(error);
    if (mode === "stopWorkflow") {
      record(run, name, { error: message, source });
      return { node: name, message };
    }
    // A node that does not report errors item by item passes on what it got, also with an output for errors.
    outputs = [given[0]];
  }
  if (!outputs?.[0]?.length && node.alwaysOutputData === true) {
    outputs = outputs ?? [];
    outputs[0] = [{ json: {}, pairedItem: given.flatMap((items, input) => items.map((_, item) => ({ item, input }))) }];
  }
  // Null: the branch ends here, and the node has no result.
  if (outputs === null) return null;
  outputs = paired(outputs, given);
  leadOn(run, name, outputs, record(run, name, { outputs, source }));
  return null;
}

/** Items that say an error go to one more output, with what the item had before. */
function withErrorOutput(node, outputs, inputs) {
  // Filter gives what it left out, too, but has no output for that.
  const declared = shortTypeOf(node) === "filter" ? outputs.slice(0, 1) : outputs;
  const errors = declared
    .flat()
    .filter(saysError)
    .map((item) => ({ ...item, json: { ...inputs[item.pairedItem?.item]?.json, ...item.json } }));
  return [...declared.map((items) => items.filter((item) => !saysError(item))), errors];
}

function saysError({ json }) {
  const count = Object.keys(json).length;
  return Boolean(json.error) && (count === 1 || (count === 2 && Boolean(json.message)));
}

async function attempts(run, node, inputs, source, runIndex, options) {
  const most = node.retryOnFail === true ? Math.min(Math.max(node.maxTries ?? 3, 2), 5) : 1;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const execute = NODES[shortTypeOf(node)];
      if (!execute) throw new NodeError(`The node '${node.name}' (${shortTypeOf(node)}) cannot run here`);
      const outputs = await execute(callOf(run, node, inputs, source, runIndex, options));
      // A node that continues after errors is repeated if its first item says one.
      if (attempt >= most || outputs?.[0]?.[0]?.json.error === undefined) return outputs;
    } catch (error) {
      if (attempt >= most || error instanceof Pending) throw error;
    }
  }
}

/**
 * Return what a node's code is given. `place` is the number of its first item among those that came from `source`;
 * `sender` has the responses to its requests: the run itself, or those to a part of it (models/at_once.js); expressions
 * see `more`, too.
 */
function callOf(run, node, inputs, source, runIndex, { place = 0, sender = run, more = {} } = {}) {
  const { scope, enter, show } = scopeOf(run, node, inputs, source, runIndex, place);
  show(more);
  const continues =
    ["continueRegularOutput", "continueErrorOutput"].includes(node.onError) || node.continueOnFail === true;
  const items = inputs[0] ?? [];
  const resolved = (raw, index) => {
    enter(index);
    return resolve(raw, scope);
  };
  const json = (raw, index) => {
    enter(index);
    return resolveJson(raw, scope);
  };
  return {
    node,
    version: node.typeVersion ?? 1,
    inputs,
    source,
    items,
    scope,
    enter,
    show,
    continues,
    memory: (run.memories[node.name] ??= {}),
    send: (requests) => responsesTo(sender, requests),
    /** Return the nodes that belong to this one: its "ai_tool", "ai_memory" and so on. */
    attached: (kind) => run.attached[node.name]?.[kind] ?? [],
    /** Return the name of a workflow that a node names: an expression can name this one. */
    workflowName: (named) =>
      typeof named === "string" && named.startsWith("=") ? (run.workflow.name ?? "") : String(named ?? ""),
    /** Remember what time, random numbers and memories are, and go back there. */
    save: () => ({ chance: saved(), memories: JSON.stringify(run.memories) }),
    goBack({ chance, memories }) {
      restore(chance);
      run.memories = Object.assign(Object.create(null), JSON.parse(memories));
    },
    isAnswering: run.isAnswering,
    /** Return how often this was called for the name before. */
    nextPlace(name) {
      run.places[name] = (run.places[name] ?? -1) + 1;
      return run.places[name];
    },
    /** Answer the request that started the workflow: {status, headers, body, base64}. The first answer counts. */
    answer: (answer, isLast) => void (run.answer = isLast ? answer : (run.answer ?? answer)),
    /** Add mails that wait for an approval. */
    write: (mails) => void sender.mails.push(...mails),
    attachedTo: (other, kind) => run.attached[other.name]?.[kind] ?? [],
    /** Return the call of a node that belongs to this one, for one item. It sends as `from` (models/at_once.js). */
    callFor: (other, index, from) =>
      callOf(run, other, [[items[index]]], source, runIndex, { place: place + index, sender: from }),
    /** Run a tool for an item. Its expressions see `more`, too. */
    runTool: (tool, item, index, from, more) =>
      attempts(run, tool, [[item]], source, runIndex, { place: place + index, sender: from, more }),
    /** Return the parameter's value for an item. */
    param: (name, index, otherwise) =>
      (node.parameters[name] ?? undefined) === undefined ? otherwise : resolved(node.parameters[name], index),
    /** Return a parameter that is JSON: objects and lists in a text with expressions are written as JSON. */
    jsonParam: (name, index, otherwise) =>
      (node.parameters[name] ?? undefined) === undefined ? otherwise : json(node.parameters[name], index),
    resolved,
    json,
    keep: (item, index) => ({ ...item, pairedItem: { item: index } }),
    /** Return an item for each, with the object that `make` returns. */
    eachItem(make) {
      return items.map((item, index) => {
        try {
          return { ...item, json: make(item, index), pairedItem: { item: index } };
        } catch (error) {
          if (!continues || error instanceof Pending) throw error;
          return { json: { error: error.message }, pairedItem: { item: index } };
        }
      });
    },
  };
}
