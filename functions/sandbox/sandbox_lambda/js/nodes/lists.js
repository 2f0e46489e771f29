// Nodes over the list of items: Split Out, Aggregate, Sort, Limit, Remove Duplicates, Rename Keys, Item Lists.

import { clearSeen, seenBefore } from "./seen.js";
import { NodeError } from "../errors.js";
import { summarizeNode } from "./summarize.js";
import { copy, fieldNames, flattened, get, isEqual, isPlainObject, keyText, set, sorted, unset } from "../values.js";

const read = (json, name, usesDots) => (usesDots ? get(json, name) : json[name]);
const usesDots = (call) => call.param("options", 0, {}).disableDotNotation !== true;

export function splitOutNode(call) {
  const result = [];
  call.items.forEach((item, index) => {
    const names = fieldNames(call.param("fieldToSplitOut", index, "")).map((name) => name.replace(/^\$json\./, ""));
    const options = call.param("options", index, {});
    const renamed = fieldNames(options.destinationFieldName ?? "");
    const include = call.param("include", index, "noOtherFields");
    if (names.length === 0) throw new NodeError("The 'Fields To Split Out' parameter is empty");
    if (renamed.length > 0 && renamed.length !== names.length) {
      throw new NodeError(
        "If multiple fields to split out are given, the same number of destination fields must be given",
      );
    }
    const lists = names.map((name) => {
      const value = read(item.json, name, options.disableDotNotation !== true);
      if (value === undefined || value === null) return [];
      return typeof value === "object" ? Object.values(value) : [value];
    });
    const others = otherFields(call, item, index, include, names, options);
    for (let row = 0; row < Math.max(...lists.map((list) => list.length)); row += 1) {
      result.push({ json: splitRow(names, renamed, lists, row, include, others), pairedItem: { item: index } });
    }
  });
  return [result];
}

function splitRow(names, renamed, lists, row, include, others) {
  if (names.length === 1) {
    const value = lists[0][row];
    if (include === "noOtherFields" && renamed.length === 0 && typeof value === "object" && value !== null) {
      return Array.isArray(value) ? { ...value } : copy(value);
    }
    return { ...copy(others), [renamed[0] ?? names[0]]: value };
  }
  const fields = names.map((name, position) => [renamed[position] ?? name, lists[position][row]]);
  return { ...copy(others), ...Object.fromEntries(fields.filter(([, value]) => value !== undefined)) };
}

function otherFields(call, item, index, include, names, options) {
  if (include === "allOtherFields") {
    const json = copy(item.json);
    for (const name of names) options.disableDotNotation === true ? delete json[name] : unset(json, name);
    return json;
  }
  if (include !== "selectedOtherFields") return {};
  const selected = fieldNames(call.param("fieldsToInclude", index, ""));
  if (selected.length === 0) throw new NodeError("No fields specified");
  return Object.fromEntries(
    selected.map((name) => [name, copy(read(item.json, name, options.disableDotNotation !== true))]),
  );
}

export function aggregateNode(call) {
  const everything = call.param("aggregate", 0, "aggregateIndividualFields") === "aggregateAllItemData";
  const json = everything ? aggregatedItems(call) : aggregatedFields(call);
  return [[{ json, pairedItem: call.items.map((_, item) => ({ item })) }]];
}

function aggregatedItems(call) {
  const include = call.param("include", 0, "allFields");
  const included = fieldNames(call.param("fieldsToInclude", 0, ""));
  const excluded = fieldNames(call.param("fieldsToExclude", 0, ""));
  const rows = call.items.map(({ json }) => {
    if (include === "specifiedFields") {
      return Object.fromEntries(included.filter((name) => json[name] !== undefined).map((name) => [name, json[name]]));
    }
    if (include === "allFieldsExcept")
      return Object.fromEntries(Object.entries(json).filter(([name]) => !excluded.includes(name)));
    return json;
  });
  const kept = include === "allFields" ? rows : rows.filter((row) => Object.keys(row).length > 0);
  return { [call.param("destinationFieldName", 0, "data")]: kept };
}

function aggregatedFields(call) {
  const { fieldToAggregate = [] } = call.param("fieldsToAggregate", 0, {});
  const { mergeLists = false, keepMissing = false } = call.param("options", 0, {});
  if (fieldToAggregate.length === 0) throw new NodeError("No fields specified");
  const json = {};
  for (const { fieldToAggregate: name, renameField, outputFieldName } of fieldToAggregate) {
    if (!name) throw new NodeError("No field to aggregate specified");
    const target = renameField && outputFieldName ? outputFieldName : usesDots(call) ? name.split(".").at(-1) : name;
    if (Object.hasOwn(json, target)) throw new NodeError(`The '${target}' output field is used more than once`);
    const values = call.items.map((item) => read(item.json, name, usesDots(call)));
    const kept = keepMissing
      ? values.map((value) => value ?? null)
      : values.filter((value) => value !== undefined && value !== null);
    const list = mergeLists ? kept.flatMap((value) => value) : kept;
    if (usesDots(call)) set(json, target, list);
    else json[target] = list;
  }
  return json;
}

export function sortNode(call) {
  const type = call.param("type", 0, "simple");
  const items = call.items.map((item, index) => call.keep(item, index));
  if (type === "random")
    return [
      items
        .map((item) => [Math.random(), item])
        .sort(([a], [b]) => a - b)
        .map(([, item]) => item),
    ];
  if (type === "code") {
    const compare = new Function("a", "b", call.node.parameters.code ?? "return 0");
    return [sorted(items, compare)];
  }
  const { sortField = [] } = call.param("sortFieldsUi", 0, {});
  if (sortField.length === 0) throw new NodeError("No sorting specified. Please add a field to sort by");
  for (const { fieldName } of sortField) {
    if (call.items.every((item) => read(item.json, fieldName, usesDots(call)) === undefined)) {
      throw new NodeError(`Couldn't find the field '${fieldName}' in the input data`);
    }
  }
  return [sorted(items, (a, b) => comparedBy(sortField, a.json, b.json, usesDots(call)))];
}

function comparedBy(fields, a, b, dots) {
  for (const { fieldName, order } of fields) {
    const [first, second] = [read(a, fieldName, dots), read(b, fieldName, dots)];
    if (isEqual(first, second)) continue;
    const areTexts = typeof first === "string" && typeof second === "string";
    const isLess = areTexts ? first.toLowerCase() < second.toLowerCase() : Number(first) < Number(second);
    return isLess === (order !== "descending") ? -1 : 1;
  }
  return 0;
}

export function limitNode(call) {
  const count = call.param("maxItems", 0, 1);
  const items = call.items.map((item, index) => call.keep(item, index));
  if (items.length <= count) return [items];
  return [
    call.param("keep", 0, "firstItems") === "firstItems" ? items.slice(0, count) : items.slice(items.length - count),
  ];
}

export function removeDuplicatesNode(call) {
  try {
    return withoutDuplicates(call);
  } catch (error) {
    if (!call.continues || call.version < 2) throw error;
    return [[{ json: { error: error.message } }]];
  }
}

function withoutDuplicates(call) {
  const operation =
    call.version < 2 ? "removeDuplicateInputItems" : call.param("operation", 0, "removeDuplicateInputItems");
  const items = call.items.map((item, index) => call.keep(item, index));
  if (operation === "removeItemsSeenInPreviousExecutions") return seenBefore(call);
  if (operation === "clearDeduplicationHistory") {
    clearSeen(call);
    return [items];
  }
  const dots = usesDots(call);
  const compare = call.param("compare", 0, "allFields");
  const rows = dots ? items.map((item) => flattened(item.json)) : items.map((item) => item.json);
  const names = comparedNames(call, compare, rows);
  checkTypes(items, names, dots);
  const first = new Map();
  for (const item of items) {
    const key = keyText(names.map((name) => read(item.json, name, dots)));
    if (!first.has(key)) first.set(key, item);
  }
  const kept = [...first.values()];
  if (call.param("options", 0, {}).removeOtherFields !== true || compare !== "selectedFields") return [kept];
  const only = (json) => names.reduce((target, name) => set(target, name, get(json, name)), {});
  return [kept.map((item) => ({ ...item, json: only(item.json) }))];
}

function comparedNames(call, compare, rows) {
  const all = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (compare === "allFields") return all;
  const names = fieldNames(call.param(compare === "selectedFields" ? "fieldsToCompare" : "fieldsToExclude", 0, ""));
  if (names.length === 0) throw new NodeError("No fields specified. Please add a field to compare or exclude");
  return compare === "selectedFields" ? names : all.filter((name) => !names.includes(name));
}

function checkTypes(items, names, dots) {
  for (const name of names) {
    let type;
    for (const { json } of items) {
      const value = read(json, name, dots);
      if (value === undefined && dots) throw new NodeError(`'${name}' field is missing from some input items`);
      if (type !== undefined && value !== undefined && type !== typeof value)
        throw new NodeError(`'${name}' isn't always the same type`);
      type = typeof value;
    }
  }
}

export function renameKeysNode(call) {
  return [
    call.eachItem((item, index) => {
      const json = copy(item.json);
      for (const { currentKey, newKey } of call.param("keys", index, {}).key ?? []) {
        if (currentKey === "" || newKey === "" || currentKey === newKey) continue;
        const value = get(json, currentKey);
        if (value === undefined) continue;
        unset(json, currentKey);
        set(json, newKey, value);
      }
      return (call.param("additionalOptions", index, {}).regexReplacement?.replacements ?? []).reduce(
        renamedByPattern,
        json,
      );
    }),
  ];
}

function renamedByPattern(json, { searchRegex, replaceRegex = "", options = {} }) {
  const pattern = new RegExp(searchRegex, options.caseInsensitive ? "gi" : "g");
  const rename = (value, depth) =>
    isPlainObject(value)
      ? Object.fromEntries(
          Object.entries(value).map(([key, nested]) => [
            key.replace(pattern, replaceRegex),
            depth === 0 ? nested : rename(nested, depth - 1),
          ]),
        )
      : value;
  return rename(json, options.depth ?? -1);
}

const OPERATIONS = {
  splitOutItems: splitOutNode,
  aggregateItems: aggregateNode,
  concatenateItems: aggregateNode,
  sort: sortNode,
  limit: limitNode,
  removeDuplicates: removeDuplicatesNode,
  summarize: summarizeNode,
};

function checkSplit(call) {
  call.items.forEach((item, index) => {
    const name = call.param("fieldToSplitOut", index, "");
    const value = read(item.json, name, usesDots(call));
    if (value !== undefined && (typeof value !== "object" || value === null)) {
      throw new NodeError(`The provided field '${name}' is not an array or object`);
    }
  });
}

export function itemListsNode(call) {
  const operation = call.param("operation", 0, "splitOutItems");
  const run = OPERATIONS[operation];
  if (!run) throw new NodeError(`Item Lists has no operation '${operation}' here`);
  if (operation === "splitOutItems" && call.version < 3) checkSplit(call);
  return run({ ...call, version: 1 });
}
