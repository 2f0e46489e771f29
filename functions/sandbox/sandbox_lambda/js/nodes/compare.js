// Compare Datasets: what is only in A, the same, different, and only in B.

import { NodeError } from "../errors.js";
import { copy, get, isEqual, isPlainObject, keyText, unset } from "../values.js";

export function compareDatasetsNode(call) {
  const settings = settingsOf(call);
  const inputs = [0, 1].map((input) => listed(call.inputs[input] ?? [], input));
  if (call.version < 2.2) requireFields(settings.pairs, inputs);
  const [onlyA, same, different] = [[], [], []];
  const taken = new Set();
  const candidates = finderIn(inputs[1], settings);
  for (const a of inputs[0]) {
    const found = candidates(a).filter((b) => settings.pairs.every((pair) => matches(a.json, b.json, pair, settings)));
    const matched = settings.isFirst ? found.slice(0, 1) : found;
    for (const b of matched) taken.add(b);
    if (matched.length === 0) onlyA.push(itemOf(a));
    const unequal = matched.filter((b) => !isSame(a.json, b.json, settings));
    if (unequal.length < matched.length) {
      const equal = matched.find((b) => !unequal.includes(b));
      same.push(settings.isFuzzy && settings.resolve === "preferInput2" ? itemOf(equal) : itemOf(a));
    }
    different.push(...unequal.map((b) => resolved(a, b, settings)));
  }
  const onlyB = inputs[1].filter((b) => !taken.has(b)).map(itemOf);
  return [onlyA, same, different, onlyB];
}

const listed = (items, input) =>
  items.map((item, index) => ({ ...item, place: { item: index, ...(input ? { input } : {}) } })).filter(isFilled);

const isFilled = ({ json }) => Object.keys(json).length > 0;

const itemOf = ({ json, binary, place }) => ({ json, ...(binary ? { binary } : {}), pairedItem: place });

function settingsOf(call) {
  const options = call.param("options", 0, {});
  const list = (text) =>
    String(text ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter(Boolean);
  const isLiteral = options.disableDotNotation === true;
  const skipped = list(options.skipFields);
  const dotted = isLiteral && skipped.find((name) => name.includes("."));
  if (dotted) throw new NodeError(`Dot notation is disabled, but field to skip comparing '${dotted}' contains dot`);
  return {
    pairs: pairsOf(call),
    resolve: call.param("resolve", 0, call.version < 2.1 ? "preferInput2" : "includeBoth"),
    isFuzzy: (call.version < 2 ? options.fuzzyCompare : call.param("fuzzyCompare", 0, false)) === true,
    isFirst: (options.multipleMatches ?? "first") === "first",
    isLiteral,
    skipped,
    preferred: call.param("preferWhenMix", 0, "input1"),
    exceptions: list(call.param("exceptWhenMix", 0, "")),
    version: call.version,
  };
}

const NO_PAIR = 'You need to define at least one pair of fields in "Fields to Match" to match on';

function pairsOf(call) {
  const pairs = (call.param("mergeByFields", 0, { values: [{}] }).values ?? []).map(({ field1 = "", field2 = "" }) => [
    String(field1).trim(),
    String(field2).trim(),
  ]);
  if (pairs.length === 1 && !pairs[0][0] && !pairs[0][1]) throw new NodeError(NO_PAIR);
  for (const [place, [first, second]] of pairs.entries())
    if (!first || !second)
      throw new NodeError(
        `You need to define both fields in "Fields to Match" for pair ${place + 1},
				 field 1 = '${first}'
				 field 2 = '${second}'`,
      );
  return pairs;
}

function requireFields(pairs, inputs) {
  if (inputs.some((items) => items.length === 0)) return;
  for (const [input, items] of inputs.entries())
    for (const pair of pairs)
      if (!items.some(({ json }) => get(json, pair[input]) !== undefined))
        throw new NodeError(`Field '${pair[input]}' is not present in any of items in 'Input ${"AB"[input]}'`);
}

const valueIn = (json, name, { isLiteral }) => (isLiteral ? json[name] : get(json, name));

function matches(a, b, [first, second], settings) {
  const [one, other] = [valueIn(a, first, settings), valueIn(b, second, settings)];
  if (one === undefined) return false;
  return settings.isFuzzy ? isLike(one, other, settings.version) : other !== undefined && isEqual(one, other);
}

/** Return a function that gives the items that may match one, in their order, by the first pair of fields. */
function finderIn(items, settings) {
  if (settings.pairs.length === 0) return () => items;
  const [[first, second]] = settings.pairs;
  const keysOf = (value) => (settings.isFuzzy ? likeKeys(value, settings.version) : [keyText(value)]);
  const places = new Map();
  for (const [place, { json }] of items.entries())
    for (const key of keysOf(valueIn(json, second, settings)))
      places.has(key) ? places.get(key).push(place) : places.set(key, [place]);
  return ({ json }) => {
    const found = keysOf(valueIn(json, first, settings)).flatMap((key) => places.get(key) ?? []);
    return [...new Set(found)].sort((a, b) => a - b).map((place) => items[place]);
  };
}

function isSame(a, b, settings) {
  const [one, other] = [a, b].map((json) => without(json, settings));
  if (!settings.isFuzzy) return isEqual(one, other);
  return Object.keys(one).every((name) => isLike(one[name], other[name], settings.version));
}

/** Return a copy of the values without the fields that are not compared. */
function without(json, { skipped, isLiteral }) {
  if (skipped.length === 0) return json;
  const left = copy(json);
  for (const name of skipped) isLiteral || name in left ? delete left[name] : unset(left, name);
  return left;
}

// ---- Values that are alike ----

const isEmpty = (value) =>
  value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);

function isLike(a, b, version) {
  if (isEqual(a, b) || (isEmpty(a) && isEmpty(b))) return true;
  if (a === null || b === null) return version >= 2 && [a, b].some(isZero);
  return [
    [a, b],
    [b, a],
  ].some(([one, other]) => isTextOf(one, other));
}

const isZero = (value) => value === 0 || value === "0";
const TEXTS = { true: [1, "1", "true", "True"], false: [0, "0", "false"] };

/** Return whether a text, or 1 and 0, say the same as a number, as true or false, or as an object. */
function isTextOf(value, text) {
  if (typeof value === "boolean") return TEXTS[value].includes(text);
  if (typeof text !== "string") return false;
  if (typeof value === "number") return String(value) === text;
  return typeof value === "object" && isEqual(value, parsed(text));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Return texts of which two values that are alike have one in common. */
function likeKeys(value, version) {
  const nothing = version >= 2 && (value === null || isZero(value)) ? ["nothing"] : [];
  if (isEmpty(value)) return ["empty", ...nothing];
  if (typeof value === "boolean") return TEXTS[value].map(String);
  const plain = typeof value === "string" && /^\s*[[{]/.test(value) ? (parsed(value) ?? value) : value;
  return [typeof plain === "object" ? keyText(plain) : String(plain), ...nothing];
}

// ---- What becomes of different items ----

function resolved(a, b, settings) {
  if (settings.resolve === "includeBoth")
    return { json: bothOf(a.json, b.json, settings), pairedItem: [a.place, b.place] };
  if (settings.resolve !== "mix") return itemOf(settings.resolve === "preferInput1" ? a : b);
  const [kept, other] = settings.preferred === "input1" ? [a, b] : [b, a];
  const json = { ...kept.json };
  for (const name of settings.exceptions) json[name] = valueIn(other.json, name, settings) ?? null;
  return { ...itemOf(kept), json };
}

function bothOf(a, b, settings) {
  const names = settings.version < 2.1 ? ["input1", "input2"] : ["inputA", "inputB"];
  const both = (one, other) => ({ [names[0]]: one ?? null, [names[1]]: other ?? null });
  const keys = {};
  for (const [first] of settings.pairs) if (first in a) keys[first] = a[first];
  const [left, right] = [a, b].map((json) => without(json, settings));
  const [same, different, skipped] = [{}, {}, {}];
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const isAlike = settings.isFuzzy
      ? isLike(a[name], b[name], settings.version)
      : name in a && name in b && isEqual(a[name], b[name]);
    if (isAlike) {
      if (name in a) same[name] = a[name] ?? null;
    } else if (!(name in left) && !(name in right)) skipped[name] = both(a[name], b[name]);
    else {
      different[name] = both(left[name], right[name]);
      addSkipped(skipped, name, a, b, settings, both);
    }
  }
  return { keys, same, different, ...(Object.keys(skipped).length > 0 ? { skipped } : {}) };
}

/** Add the parts of a field that are not compared. */
function addSkipped(skipped, name, a, b, { skipped: list }, both) {
  const inner = list.filter((path) => path.startsWith(`${name}.`)).map((path) => path.slice(name.length + 1));
  if (inner.length === 0) return;
  const parts = [a[name], b[name]].map((value) =>
    isPlainObject(value) ? Object.fromEntries(inner.map((path) => [path, get(value, path)])) : undefined,
  );
  skipped[name] = both(...parts);
}
