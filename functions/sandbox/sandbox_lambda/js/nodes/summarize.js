// Summarize: figures over groups of items.

import { NodeError } from "../errors.js";
import { fieldNames, get, keyText } from "../values.js";

const PREFIXES = {
  append: "appended",
  average: "average",
  concatenate: "concatenated",
  count: "count",
  countUnique: "unique_count",
  max: "max",
  min: "min",
  sum: "sum",
};
const isGiven = (value) => value !== undefined && value !== null && value !== "";

export function summarizeNode(call) {
  const summaries = (call.param("fieldsToSummarize", 0, {}).values ?? []).map((entry) => ({
    aggregation: "count",
    ...entry,
  }));
  if (summaries.length === 0 || summaries.some(({ field }) => !field)) {
    throw new NodeError("You need to add at least one aggregation to 'Fields to Summarize' with non-empty 'Field'");
  }
  const options = call.param("options", 0, {});
  const read = (json, name) => (options.disableDotNotation ? json[name] : get(json, name));
  const splits = fieldNames(call.param("fieldsToSplitBy", 0, ""));
  checkFields(call, [...splits, ...summaries.map(({ field }) => field)], options, read);
  const groups = grouped(call, splits, options, read);
  const results = groups.map(({ keys, places }) => ({
    json: {
      ...Object.fromEntries(splits.map((name, index) => [flat(name, options), keys[index]])),
      ...Object.fromEntries(
        summaries.map((summary) => [
          resultName(summary, options),
          figure(
            summary,
            places.map((place) => read(call.items[place].json, summary.field)),
          ),
        ]),
      ),
    },
    pairedItem: places.map((item) => ({ item })),
  }));
  if (options.outputFormat !== "singleItem") return [results];
  const json = {};
  for (const { json: row } of results)
    nest(
      json,
      row,
      splits.map((name) => flat(name, options)),
    );
  return [[{ json, pairedItem: call.items.map((_, item) => ({ item })) }]];
}

const flat = (name, options) => (options.disableDotNotation ? name : name.replaceAll(".", "_"));

function resultName({ aggregation, field }, options) {
  return `${PREFIXES[aggregation]}_${flat(field, options)}`;
}

function checkFields(call, names, options, read) {
  if (options.continueIfFieldNotFound || call.version >= 1.1) return;
  for (const name of names) {
    if (call.items.every(({ json }) => read(json, name) === undefined))
      throw new NodeError(`The field '${name}' does not exist in any items`);
  }
}

function grouped(call, splits, options, read) {
  const groups = new Map();
  call.items.forEach(({ json }, place) => {
    const values = splits.map((name) => read(json, name));
    if (options.skipEmptySplitFields && !values.every(isGiven)) return;
    const keys = values.map((value) => keyOf(value, call.version));
    const name = keyText(keys);
    if (groups.has(name)) groups.get(name).places.push(place);
    else groups.set(name, { keys, places: [place] });
  });
  return [...groups.values()];
}

/** Lists and objects are told apart as JSON, and before version 1.1 everything as text. */
function keyOf(value, version) {
  if (typeof value === "object" && value !== null) return JSON.stringify(value);
  return version >= 1.1 ? value : String(value);
}

function nest(target, row, splits) {
  const [name, ...rest] = splits;
  if (name === undefined) {
    Object.assign(target, row);
    return;
  }
  const { [name]: key, ...others } = row;
  nest((target[String(key)] ??= {}), others, rest);
}

function figure({ aggregation, includeEmpty, separateBy = ",", customSeparator = "" }, values) {
  const given = includeEmpty ? values : values.filter(isGiven);
  switch (aggregation) {
    case "append":
      return given;
    case "count":
      return given.length;
    case "countUnique":
      return new Set(given.map((value) => (typeof value === "object" ? JSON.stringify(value) : value))).size;
    case "concatenate": {
      const separator = separateBy === "other" ? customSeparator : separateBy;
      return given
        .map((value) =>
          typeof value === "object" ? JSON.stringify(value) : value === undefined ? "undefined" : String(value),
        )
        .join(separator);
    }
    default:
      return numberFigure(aggregation, values.filter(isGiven));
  }
}

function numberFigure(aggregation, values) {
  const numbers = values.filter((value) => typeof value === "number");
  const sum = numbers.reduce((total, number) => total + number, 0);
  if (aggregation === "sum") return sum;
  if (aggregation === "average") return numbers.length === 0 ? 0 : sum / numbers.length;
  if (values.length === 0) return null;
  return values.reduce((best, value) => ((aggregation === "min" ? value < best : value > best) ? value : best));
}
