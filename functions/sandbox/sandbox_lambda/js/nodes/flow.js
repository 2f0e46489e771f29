// Nodes that lead items: Merge, Loop Over Items, No Operation, Wait, Stop and Error.

import { NodeError } from "../errors.js";
import { copy, fieldNames, get, keyText, mergeDeep } from "../values.js";

export const passThrough = (call) => [call.items.map((item, index) => call.keep(item, index))];

export function stopAndErrorNode(call) {
  if (call.param("errorType", 0, "errorMessage") !== "errorObject")
    throw new NodeError(String(call.param("errorMessage", 0, "")));
  const raw = call.param("errorObject", 0, "{}");
  const error = typeof raw === "string" ? JSON.parse(raw) : raw;
  throw new NodeError(String(error.message ?? error.description ?? error.error ?? JSON.stringify(error)));
}

/** Loop Over Items. Null ends the branch. Version 3: done, loop; version 2: loop, done; version 1: loop. */
export function splitInBatchesNode(call) {
  const { memory } = call;
  const kept = call.items.map((item, index) => ({ ...item, pairedItem: { item: index, from: call.source[0] } }));
  const size = call.param("batchSize", 0, call.version >= 3 ? 1 : 10);
  const isReset = call.param("options", 0, {}).reset === true;
  if (memory.rest === undefined || isReset) {
    memory.rest = kept;
    memory.done = [];
    memory.currentRunIndex = 0;
    memory.maxRunIndex = Math.ceil(memory.rest.length / size);
  } else {
    memory.currentRunIndex += 1;
    memory.done.push(...kept);
  }
  const batch = memory.rest.splice(0, size);
  memory.noItemsLeft = memory.rest.length === 0;
  if (call.version < 2) return batch.length === 0 ? null : [batch];
  const outputs = batch.length === 0 ? [[], memory.done] : [batch, []];
  return call.version >= 3 ? outputs.reverse() : outputs;
}

export function mergeNode(call) {
  const mode = call.param("mode", 0, "append");
  const inputs = call.inputs.map((items, input) =>
    items.map((item, index) => ({ ...item, pairedItem: { item: index, input } })),
  );
  if (mode === "append") return [inputs.flat()];
  if (mode === "chooseBranch" || mode === "passThrough" || mode === "wait") return [chosen(call, mode, inputs)];
  const by =
    call.version < 2
      ? {
          mergeByIndex: "combineByPosition",
          mergeByKey: "mergeByKey",
          multiplex: "combineAll",
          removeKeyMatches: "removeKeyMatches",
        }[mode]
      : call.version < 3
        ? { mergeByPosition: "combineByPosition", mergeByFields: "combineByFields", multiplex: "combineAll" }[
            call.param("combinationMode", 0, "mergeByFields")
          ]
        : call.param("combineBy", 0, "combineByFields");
  const [first = [], second = []] = inputs;
  if (by === "combineByPosition" && call.version < 2) return [joinedByIndex(call, first, second)];
  if (by === "combineByPosition") return [combinedByPosition(call, inputs)];
  if (by === "combineAll" && clash(call).resolveClash === "preferInput1")
    return [second.flatMap((b) => first.map((a) => combined(call, [a, b])))];
  if (by === "combineAll") return [first.flatMap((a) => second.map((b) => combined(call, [a, b])))];
  if (by === "mergeByKey" || by === "removeKeyMatches") return [joinedByKey(call, first, second, by)];
  if (by === "combineByFields") return combinedByFields(call, first, second);
  throw new NodeError(`Merging by '${by ?? mode}' is not supported`);
}

function chosen(call, mode, inputs) {
  if (mode === "chooseBranch" && call.param("output", 0, call.version >= 3 ? "specifiedInput" : "input1") === "empty") {
    return [{ json: {}, pairedItem: inputs.flatMap((items, input) => items.map((_, item) => ({ item, input }))) }];
  }
  if (mode === "wait") return [{ json: {}, pairedItem: [] }];
  const number =
    call.version >= 3
      ? Number(call.param("useDataOfInput", 0, 1))
      : String(call.param("output", 0, "input1")).endsWith("2")
        ? 2
        : 1;
  return inputs[number - 1] ?? [];
}

const clash = (call) => ({
  resolveClash: "",
  mergeMode: "deepMerge",
  overrideEmpty: false,
  ...call.param("options", 0, {}).clashHandling?.values,
});

const withSuffix = (json, suffix) =>
  Object.fromEntries(Object.entries(json).map(([key, value]) => [`${key}_${suffix}`, value]));

function merged(rules, objects) {
  const filled = (object) =>
    rules.overrideEmpty
      ? Object.fromEntries(
          Object.entries(object).filter(([, value]) => value !== "" && value !== null && value !== undefined),
        )
      : object;
  if (rules.mergeMode === "shallowMerge")
    return Object.assign({}, ...objects.map((object, index) => (index === 0 ? object : filled(object))));
  return mergeDeep({}, ...objects.map((object, index) => (index === 0 ? object : filled(object))));
}

const pairs = (items) => items.filter(Boolean).map((item) => item.pairedItem);

/** Merge one item of each input. The preferred input comes last. */
function combined(call, items) {
  const rules = clash(call);
  if (rules.resolveClash === "addSuffix") {
    return {
      json: merged(
        rules,
        items.map((item, index) => withSuffix(item?.json ?? {}, index + 1)),
      ),
      pairedItem: pairs(items),
    };
  }
  const usual = call.param("joinMode", 0, "") === "enrichInput2" ? 0 : items.length - 1;
  const preferred = rules.resolveClash.startsWith("preferInput") ? Number(rules.resolveClash.slice(-1)) - 1 : usual;
  const order = [...items.filter((_, index) => index !== preferred), items[preferred]];
  return {
    json: merged(
      rules,
      order.map((item) => item?.json ?? {}),
    ),
    pairedItem: pairs(items),
  };
}

function combinedByPosition(call, inputs) {
  const rules = clash(call);
  const lengths = inputs.map((items) => items.length);
  const count = call.param("options", 0, {}).includeUnpaired ? Math.max(...lengths) : Math.min(...lengths);
  const preferred = rules.resolveClash.startsWith("preferInput")
    ? Number(rules.resolveClash.slice(-1)) - 1
    : inputs.length - 1;
  return Array.from({ length: count }, (_, row) => {
    const items = inputs.map((list) => list[row]);
    const objects = items.map((item, index) =>
      rules.resolveClash === "addSuffix" ? withSuffix(item?.json ?? {}, index + 1) : (item?.json ?? {}),
    );
    return { json: merged(rules, [...objects, items[preferred]?.json ?? {}]), pairedItem: pairs(items) };
  });
}

function joinedByIndex(call, first, second) {
  const join = call.param("join", 0, "left");
  const count =
    join === "inner"
      ? Math.min(first.length, second.length)
      : join === "outer"
        ? Math.max(first.length, second.length)
        : first.length;
  return Array.from({ length: count }, (_, row) => ({
    json: { ...first[row]?.json, ...second[row]?.json },
    pairedItem: pairs([first[row], second[row]]),
  }));
}

function joinedByKey(call, first, second, by) {
  const [name1, name2] = [call.param("propertyName1", 0, ""), call.param("propertyName2", 0, "")];
  const match = (item) => {
    const value = get(item.json, name1);
    return value === undefined ? undefined : second.findLast((other) => get(other.json, name2) === value);
  };
  if (by === "removeKeyMatches") return first.filter((item) => !match(item));
  const overwrite = call.param("overwrite", 0, "always");
  return first.map((item) => {
    const other = match(item);
    if (!other || (overwrite === "undefined" && Object.keys(other.json).every((key) => key in item.json))) return item;
    const extra = Object.entries(other.json).filter(
      ([key]) =>
        overwrite === "always" || item.json[key] === undefined || (overwrite === "blank" && item.json[key] === ""),
    );
    return { ...item, json: { ...copy(item.json), ...Object.fromEntries(extra) } };
  });
}

function matchFields(call) {
  if (call.version >= 3 && call.param("advanced", 0, false) !== true) {
    return fieldNames(call.param("fieldsToMatchString", 0, "")).map((name) => ({ field1: name, field2: name }));
  }
  return call.param("mergeByFields", 0, {}).values ?? [];
}

function combinedByFields(call, first, second) {
  const fields = matchFields(call);
  if (fields.length === 0)
    throw new NodeError('You need to define at least one pair of fields in "Fields to Match" to match on');
  const options = call.param("options", 0, {});
  const { disableDotNotation = false, fuzzyCompare = false, multipleMatches = "all" } = options;
  const value = (item, name) => (disableDotNotation ? item.json[name] : get(item.json, name));
  const keyOf = (item, side) => {
    const values = fields.map((field) => value(item, field[side]));
    if (fuzzyCompare) return keyText(values.map(fuzzy));
    return values.includes(undefined) ? undefined : keyText(values);
  };
  const places = Map.groupBy(second, (item) => keyOf(item, "field2"));
  const found = first.map((item) => {
    const key = keyOf(item, "field1");
    const matches = (key === undefined ? undefined : places.get(key)) ?? [];
    return multipleMatches === "first" ? matches.slice(0, 1) : matches;
  });
  return [joined(call, first, second, found)];
}

function joined(call, first, second, found) {
  const join = call.param("joinMode", 0, "keepMatches");
  const from = call.param("outputDataFrom", 0, "both");
  const matched = new Set(found.flat());
  const together = () => first.flatMap((item, index) => found[index].map((other) => combined(call, [item, other])));
  const alone1 = first.filter((_, index) => found[index].length === 0);
  const alone2 = second.filter((item) => !matched.has(item));
  if (join === "keepMatches") {
    if (from === "input1") return first.filter((_, index) => found[index].length > 0);
    return from === "input2" ? second.filter((item) => matched.has(item)) : together();
  }
  if (join === "keepNonMatches" && from === "both") return [...named(alone1, "input1"), ...named(alone2, "input2")];
  if (join === "keepNonMatches") return from === "input1" ? alone1 : alone2;
  if (join === "outer" || join === "keepEverything") return [...together(), ...alone1, ...alone2];
  if (join === "enrichInput1") return [...together(), ...alone1];
  if (join === "enrichInput2") return [...together(), ...alone2];
  throw new NodeError(`The join mode '${join}' is unknown`);
}

const named = (items, source) => items.map((item) => ({ ...item, json: { ...item.json, _source: source } }));

/** Nothing, an empty text and false are the same; a number is the same as its text. */
function fuzzy(value) {
  if (value === undefined || value === null || value === "" || value === false) return null;
  return typeof value === "object" ? value : String(value);
}

/** Runs are never evaluations here: all items go to the second output. Metrics are computed as in n8n. */
export function evaluationNode(call) {
  if (call.param("operation", 0, "setOutputs") === "checkIfEvaluating") return [[], call.items.map(call.keep)];
  const metrics = (index) => call.param("metrics", index, {}).assignments ?? [];
  return [call.eachItem((_, index) => Object.fromEntries(metrics(index).map(({ name, value }) => [name, value])))];
}
