// If, Filter and Switch.

import { filterHolds, firstConditionsHold, firstFormatHolds } from "../conditions.js";
import { NodeError } from "../errors.js";

function divide(call, combineName) {
  const outputs = [[], []];
  call.items.forEach((item, index) => {
    let holds = false;
    try {
      holds =
        call.version < 2
          ? firstConditionsHold(call.param("conditions", index, {}), call.param(combineName, index, undefined))
          : filterHolds(call.param("conditions", index, {}), index);
    } catch (error) {
      if (!call.continues) throw error;
    }
    outputs[holds ? 0 : 1].push(call.keep(item, index));
  });
  return outputs;
}

export const ifNode = (call) => divide(call, "combineOperation");

export const filterNode = (call) => divide({ ...call, param: combinedAsAnd(call) }, "combineConditions");

/** Filter names its combinations AND and OR, where If has "all" and "any". */
function combinedAsAnd(call) {
  return (name, index, otherwise) => {
    const value = call.param(name, index, otherwise);
    return name === "combineConditions" ? (value === "OR" ? "any" : "all") : value;
  };
}

export function switchNode(call) {
  if (call.version < 3) return firstSwitch(call);
  const expression = call.param("mode", 0, "rules") === "expression";
  const count = expression ? call.param("numberOutputs", 0, 4) : (call.node.parameters.rules?.values ?? []).length;
  const { fallbackOutput = "none" } = call.param("options", 0, {});
  const outputs = Array.from({ length: !expression && fallbackOutput === "extra" ? count + 1 : count }, () => []);
  eachItem(call, outputs, (item, index) => {
    const targets = expression ? [expressionOutput(call, index, count)] : matchingRules(call, index);
    if (targets.length === 0 && fallbackOutput !== "none")
      targets.push(fallbackOutput === "extra" ? count : Number(fallbackOutput));
    for (const target of targets) outputs[target]?.push(call.keep(item, index));
  });
  return outputs;
}

/** Send each item on. If the node continues after errors, an item that says the error goes to the first output. */
function eachItem(call, outputs, send) {
  call.items.forEach((item, index) => {
    try {
      send(item, index);
    } catch (error) {
      if (!call.continues) throw error;
      outputs[0].push({ json: { error: error.message }, pairedItem: { item: index } });
    }
  });
}

function matchingRules(call, index) {
  const { values = [] } = call.param("rules", index, {});
  const { allMatchingOutputs = false } = call.param("options", index, {});
  const matches = [];
  for (const [output, rule] of values.entries()) {
    if (!filterHolds(rule.conditions ?? {}, index)) continue;
    matches.push(output);
    if (!allMatchingOutputs) break;
  }
  return matches;
}

function expressionOutput(call, index, count) {
  const output = call.param("output", index, 0);
  if (typeof output !== "number" && Number.isNaN(Number(output))) {
    throw new NodeError(`The output has to be a number, but is '${output}' [item ${index}]`);
  }
  if (output < 0 || output >= count) {
    throw new NodeError(`The ouput ${output} is not allowed. `);
  }
  return Number(output);
}

function firstSwitch(call) {
  const expression = call.param("mode", 0, "rules") === "expression";
  const rulesOf = (index) => call.param("rules", index, {}).rules ?? [];
  const count = call.version < 2 ? 4 : expression ? call.param("outputsAmount", 0, 4) : rulesOf(0).length;
  const fallback = call.param("fallbackOutput", 0, -1);
  const outputs = Array.from({ length: count }, () => []);
  eachItem(call, outputs, (item, index) => {
    if (expression) {
      outputs[expressionOutput(call, index, count)].push(call.keep(item, index));
      return;
    }
    const type = call.param("dataType", index, "number");
    const value1 = call.param("value1", index, { number: 0, boolean: false }[type] ?? "");
    const matched = rulesOf(index).findIndex((rule) => firstFormatHolds(type, { ...rule, value1 }));
    const target = matched < 0 ? fallback : call.version < 2 ? (rulesOf(index)[matched].output ?? 0) : matched;
    if (target === -1) return;
    if (!outputs[target]) throw new NodeError("Cannot read properties of undefined (reading 'push')");
    outputs[target].push(call.keep(item, index));
  });
  return outputs;
}
