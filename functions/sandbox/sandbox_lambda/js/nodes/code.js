// Code, Function and Function Item: the author's JavaScript.

import { NodeError } from "../errors.js";
import { FUNCTIONS } from "../expressions.js";
import { GLOBALS } from "../globals.js";
import { isPlainObject } from "../values.js";

const AsyncFunction = (async () => {}).constructor;
const SHAPE = "Code doesn't return items properly";

/** Run the author's code with the run's data as variables. The error names the line. */
async function runCode(source, variables) {
  const names = Object.keys(variables);
  let body;
  try {
    body = new AsyncFunction(...names, source);
  } catch (error) {
    throw new NodeError(error.message);
  }
  try {
    return await body(...names.map((name) => variables[name]));
  } catch (error) {
    throw new NodeError(describe(error));
  }
}

function describe(error) {
  if (!(error instanceof Error)) return String(error);
  // The two lines of the function's head come before the author's first line.
  const place = /<input>:(\d+)/.exec(error.stack ?? "");
  return place && Number(place[1]) > 2 ? `${error.message} [line ${Number(place[1]) - 2}]` : error.message;
}

function variables(call, index, extra) {
  const { scope } = call;
  call.enter(index);
  // The author may change what the code gets. Other nodes get the data as it was.
  scope.$copyData();
  const names = [
    "$input",
    "$",
    "$node",
    "$items",
    "$itemIndex",
    "$runIndex",
    "$workflow",
    "$execution",
    "$vars",
    "$prevNode",
    "$parameter",
    "$getWorkflowStaticData",
  ];
  const values = Object.fromEntries(names.map((name) => [name, scope[name]]));
  const helpers = Object.fromEntries(Object.keys(FUNCTIONS).map((name) => [name, FUNCTIONS[name]]));
  return { ...GLOBALS, ...helpers, ...values, ...extra(scope.$input) };
}

/** Run code with the data of the node's run, and `extra` variables, and return what it returns. */
export const runSource = (call, source, extra) =>
  runCode(
    source,
    variables(call, 0, ($input) => ({ $json: $input.first()?.json, ...extra })),
  );

export async function codeNode(call) {
  if (call.param("language", 0, "javaScript") !== "javaScript") throw new NodeError("Only JavaScript is supported");
  const source = call.node.parameters.jsCode ?? "";
  if (call.param("mode", 0, "runOnceForAllItems") === "runOnceForEachItem") return [await forEachItem(call, source)];
  let result;
  try {
    result = await runCode(
      source,
      variables(call, 0, ($input) => ({ items: $input.all(), $json: $input.first()?.json })),
    );
  } catch (error) {
    if (!call.continues) throw error;
    return [[{ json: { error: error.message } }]];
  }
  return [itemsOf(result)];
}

const failed = (error, index) => ({ json: { error: error.message }, pairedItem: { item: index } });

async function forEachItem(call, source) {
  const result = [];
  for (const index of call.items.keys()) {
    let value;
    try {
      value = await runCode(
        source,
        variables(call, index, ({ item }) => ({ item, $json: item.json, $binary: item.binary })),
      );
    } catch (error) {
      if (!call.continues) throw error;
      result.push(failed(error, index));
      continue;
    }
    if (value === null || value === undefined) continue;
    if (!isPlainObject(value)) throw new NodeError(`${SHAPE} [item ${index}]`);
    result.push({ ...wrapped(value), pairedItem: { item: index } });
  }
  return result;
}

function wrapped(value) {
  if (!("json" in value) && !("binary" in value)) return { json: value };
  if (value.json !== undefined && !isPlainObject(value.json)) throw new NodeError("A 'json' property isn't an object");
  const { json = {}, binary, pairedItem } = value;
  return { json, ...(binary === undefined ? {} : { binary }), ...(pairedItem === undefined ? {} : { pairedItem }) };
}

function itemsOf(value) {
  if (value === null) return [];
  if (typeof value !== "object") throw new NodeError(SHAPE);
  const list = Array.isArray(value) ? value : [value];
  if (!list.every(isPlainObject)) throw new NodeError(SHAPE);
  const areItems = list.some((item) => "json" in item || "binary" in item);
  if (!areItems) return list.map((json) => ({ json }));
  const odd = list
    .flatMap((item) => Object.keys(item))
    .find((key) => !["json", "binary", "pairedItem", "error", "index"].includes(key));
  if (odd !== undefined) throw new NodeError(`Unknown top-level item key: ${odd}`);
  return list.map(wrapped);
}

export async function functionNode(call) {
  const given = variables(call, 0, ($input) => ({ items: $input.all(), getWorkflowStaticData: () => call.memory }));
  const result = await runCode(call.node.parameters.functionCode ?? "", given);
  if (result === undefined) throw new NodeError("No data got returned. Always an Array of items has to be returned!");
  const items = Array.isArray(result) ? result : [result];
  for (const item of items) {
    if (!isPlainObject(item) || ("json" in item && !isPlainObject(item.json))) {
      throw new NodeError("Always an Array of items has to be returned!");
    }
  }
  return [
    items.map((item) =>
      "json" in item ? { json: item.json, binary: item.binary, pairedItem: item.pairedItem } : { json: item },
    ),
  ];
}

export async function functionItemNode(call) {
  const result = [];
  for (const index of call.items.keys()) {
    const given = variables(call, index, ({ item }) => ({ item: item.json, getWorkflowStaticData: () => call.memory }));
    const json = await runCode(call.node.parameters.functionCode ?? "", given);
    if (!isPlainObject(json)) throw new NodeError("Not an object got returned. Always an object has to be returned!");
    result.push({ json, pairedItem: { item: index } });
  }
  return [result];
}
