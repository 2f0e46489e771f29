// Methods of lists and objects.

import { ExpressionError } from "../errors.js";
import { isEqual, isPlainObject } from "../values.js";

function numbers(list, name) {
  if (list.some((value) => typeof value !== "number"))
    throw new ExpressionError(`${name}(): all array elements must be numbers`);
  return list;
}

const unique = (list) => list.filter((value, index) => list.findIndex((other) => isEqual(other, value)) === index);

function plucked(list, ...names) {
  if (names.length === 0) return list;
  return list
    .map((value) => {
      if (!isPlainObject(value)) return undefined;
      return names.length === 1 ? value[names[0]] : names.map((name) => value[name]);
    })
    .filter((value) => value !== undefined);
}

const without = (list, other) => list.filter((value) => !other.some((candidate) => isEqual(candidate, value)));

export const LISTS = {
  isEmpty: (list) => list.length === 0,
  isNotEmpty: (list) => list.length > 0,
  first: (list) => list[0],
  last: (list) => list.at(-1),
  randomItem: (list) => list[Math.floor(Math.random() * list.length)],
  sum: (list) => numbers(list, "sum").reduce((sum, number) => sum + number, 0),
  average: (list) =>
    list.length === 0 ? 0 : numbers(list, "average").reduce((sum, number) => sum + number, 0) / list.length,
  min: (list) => Math.min(...numbers(list, "min")),
  max: (list) => Math.max(...numbers(list, "max")),
  unique: (list, ...names) =>
    names.length === 0
      ? unique(list)
      : list.filter(
          (value, index) =>
            list.findIndex((other) => names.every((name) => isEqual(other?.[name], value?.[name]))) === index,
        ),
  removeDuplicates: (list, ...names) => LISTS.unique(list, ...names),
  compact: (list) =>
    list
      .map((value) => (isPlainObject(value) ? OBJECTS.compact(value) : value))
      .filter(
        (value) =>
          value !== null &&
          value !== undefined &&
          value !== "" &&
          value !== "nil" &&
          !(isPlainObject(value) && Object.keys(value).length === 0),
      ),
  chunk(list, size) {
    if (typeof size !== "number" || size <= 0)
      throw new ExpressionError("chunk(): expected non-zero numeric arg, e.g. .chunk(5)");
    return Array.from({ length: Math.ceil(list.length / size) }, (_, index) =>
      list.slice(index * size, (index + 1) * size),
    );
  },
  pluck: plucked,
  append: (list, ...values) => [...list, ...values],
  union: (list, other = []) => unique([...list, ...other]),
  difference: (list, other = []) => without(list, other),
  intersection: (list, other = []) =>
    unique(list.filter((value) => other.some((candidate) => isEqual(candidate, value)))),
  merge: (list, other = []) => Object.assign({}, ...[...list, ...other].filter(isPlainObject).reverse()),
  renameKeys: (list, ...names) =>
    list.map((value) => {
      if (!isPlainObject(value)) return value;
      const renamed = { ...value };
      for (let index = 0; index + 1 < names.length; index += 2) {
        if (names[index] in renamed) {
          renamed[names[index + 1]] = renamed[names[index]];
          delete renamed[names[index]];
        }
      }
      return renamed;
    }),
  smartJoin: (list, key, value) =>
    Object.fromEntries(list.filter(isPlainObject).map((entry) => [entry[key], entry[value]])),
  toJsonString: (list) => JSON.stringify(list),
};

const matching = (object, keep) =>
  Object.fromEntries(Object.entries(object).filter(([key, value]) => keep(key, value)));

export const OBJECTS = {
  isEmpty: (object) => Object.keys(object).length === 0,
  isNotEmpty: (object) => Object.keys(object).length > 0,
  keys: Object.keys,
  values: Object.values,
  hasField: (object, name) => Object.hasOwn(object, name),
  removeField: (object, name) => matching(object, (key) => key !== name),
  removeFieldsContaining: (object, text) =>
    matching(object, (_, value) => !(typeof value === "string" && value.includes(text))),
  keepFieldsContaining: (object, text) =>
    matching(object, (_, value) => typeof value === "string" && value.includes(text)),
  compact: (object) =>
    matching(object, (_, value) => value !== null && value !== undefined && value !== "nil" && value !== ""),
  urlEncode: (object) =>
    Object.entries(object)
      .map((pair) => pair.map((text) => encodeURIComponent(text).replaceAll("%20", "+")).join("="))
      .join("&"),
  toJsonString: (object) => JSON.stringify(object),
};
