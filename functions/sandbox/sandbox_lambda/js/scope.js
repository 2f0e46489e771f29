// The data of the run that expressions and code can read.

import { ExpressionError, UnpairedError } from "./errors.js";
import { FUNCTIONS, makeScope } from "./expressions.js";
import { originOf } from "./pairing.js";
import { copy } from "./values.js";

/**
 * Return the scope of one node's run. `place` is the number of its first item among those that came from `source`.
 * `state` holds the current item, which changes.
 */
export function scopeOf(run, node, inputs, source, runIndex, place = 0) {
  const state = { index: 0, copies: null };
  /** Return what an expression may read: a copy of it if the expression may change it. */
  const read = (item) => {
    if (!state.copies || !item) return item;
    if (!state.copies.has(item)) state.copies.set(item, { ...item, json: copy(item.json) });
    return state.copies.get(item);
  };
  const current = () => read(inputs[0]?.[state.index]) ?? { json: {} };
  const all = () => (inputs[0] ?? []).map(read);
  // The item is seen as an output of this node, so that its origin is found through this node's inputs.
  const here = () => ({ pairedItem: { item: state.index + place } });
  const nodeData = (name) => dataOf(run, node, name, here, source, state, read);
  const data = {
    get $json() {
      return current().json;
    },
    get $binary() {
      return current().binary ?? {};
    },
    get $data() {
      return current().json;
    },
    get $itemIndex() {
      return state.index;
    },
    $runIndex: runIndex,
    $: nodeData,
    $node: new Proxy(
      {},
      {
        get: (_, name) =>
          typeof name === "string" ? oldNodeData(run, node, name, state.index + place, read) : undefined,
      },
    ),
    $items: (name, output = 0, runNumber) =>
      name === undefined ? all() : ranItems(run, name, output, runNumber).map(read),
    $input: {
      get item() {
        return current();
      },
      all,
      first: () => read(inputs[0]?.[0]),
      last: () => read(inputs[0]?.at(-1)),
      itemMatching: (index) => read(inputs[0]?.[index]),
      get params() {
        return source[0] ? run.nodes[source[0].node]?.parameters : {};
      },
      get context() {
        return source[0] ? (run.memories[source[0].node] ?? {}) : {};
      },
    },
    $workflow: { id: run.workflow.id ?? "", name: run.workflow.name ?? "", active: run.workflow.active ?? false },
    $execution: { id: run.execution, mode: "production", resumeUrl: "", customData: {} },
    $vars: {},
    $parameter: node.parameters,
    $prevNode: { name: source[0]?.node, outputIndex: source[0]?.output ?? 0, runIndex: source[0]?.run ?? 0 },
    $getWorkflowStaticData: () => (run.memories[node.name] ??= {}),
    $position: 0,
    $nodeId: node.id,
    $nodeVersion: node.typeVersion ?? 1,
    $fromAI: (name, _description, _type, otherwise) => current().json[name] ?? otherwise,
  };
  Object.defineProperties(data, Object.getOwnPropertyDescriptors(FUNCTIONS));
  const enter = (index) => {
    state.index = index;
    state.copies = null;
  };
  data.$copyData = () => (state.copies = new Map());
  /** Let expressions see more. */
  const show = (more) => void Object.assign(data, more);
  return { scope: makeScope(data), enter, show };
}

function ranItems(run, name, output, runNumber) {
  if (!(name in run.nodes)) throw new ExpressionError("Referenced node doesn't exist");
  const runs = run.results[name];
  if (!runs) throw new ExpressionError(`Node '${name}' hasn't been executed`);
  return runs[runNumber === undefined || runNumber < 0 ? runs.length - 1 : runNumber]?.outputs?.[output] ?? [];
}

function dataOf(run, node, name, here, source, state, read) {
  const output = () => outputTowards(run, name, node.name);
  const items = (branch, runNumber) => ranItems(run, name, branch ?? output(), runNumber).map(read);
  const origin = (index) => {
    ranItems(run, name, 0);
    const item = index === undefined ? here() : { pairedItem: { item: index } };
    const found = originOf(run, item, source, name);
    if (!found)
      throw new UnpairedError(
        `Paired item data for item from node '${name}' is unavailable. Ensure '${name}' is providing the required output.`,
      );
    return read(found);
  };
  if (!(name in run.nodes)) throw new ExpressionError("Referenced node doesn't exist");
  return {
    get item() {
      return origin();
    },
    pairedItem: (index) => origin(index ?? state.index),
    itemMatching: (index) => origin(index),
    all: items,
    first: (branch, runNumber) => items(branch, runNumber)[0],
    last: (branch, runNumber) => items(branch, runNumber).at(-1),
    get isExecuted() {
      const runs = run.results[name];
      return runs !== undefined && !(runs[0].isGiven && runs[0].outputs.every((items) => items.length === 0));
    },
    params: run.nodes[name].parameters,
    context: run.memories[name] ?? {},
  };
}

/** $node["Name"]: the item of the node with the current item's number. */
function oldNodeData(run, node, name, index, read) {
  const items = ranItems(run, name, outputTowards(run, name, node.name));
  const item = read(items[index] ?? items[0]);
  return {
    json: item?.json,
    binary: item?.binary ?? {},
    context: run.memories[name] ?? {},
    parameter: run.nodes[name].parameters,
    runIndex: (run.results[name]?.length ?? 0) - 1,
  };
}

/** Return the number of the output of `from` whose branch leads to `to`. */
function outputTowards(run, from, to) {
  const key = JSON.stringify([from, to]);
  if (!run.towards.has(key)) run.towards.set(key, searchOutput(run, from, to));
  return run.towards.get(key);
}

function searchOutput(run, from, to) {
  const outputs = run.connections[from] ?? [];
  for (const [number, edges] of outputs.entries()) {
    const seen = new Set();
    const queue = edges.map((edge) => edge.node);
    for (const name of queue) {
      if (name === to) return number;
      if (seen.has(name)) continue;
      seen.add(name);
      queue.push(...(run.connections[name] ?? []).flat().map((edge) => edge.node));
    }
  }
  return 0;
}
