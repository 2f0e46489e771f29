// The methods that expressions add to JavaScript's own: "text".toTitleCase(), [1, 2].sum(), date.format("yyyy").

import { DateTime } from "./dates.js";
import { ExpressionError } from "./errors.js";
import { DATES } from "./extensions/dates.js";
import { LISTS, OBJECTS } from "./extensions/lists.js";
import { BOOLEANS, NUMBERS } from "./extensions/numbers.js";
import { STRINGS } from "./extensions/texts.js";

const isDate = (value) => value instanceof Date || DateTime.isDateTime(value);

export function isEmptyValue(value) {
  if (value === null || value === undefined || value === "") return true;
  return typeof value === "object" && !isDate(value) && Object.keys(value).length === 0;
}

function extensionsFor(value) {
  if (typeof value === "string") return STRINGS;
  if (typeof value === "number") return NUMBERS;
  if (typeof value === "boolean") return BOOLEANS;
  if (Array.isArray(value)) return LISTS;
  return isDate(value) ? DATES : OBJECTS;
}

/** The names of all extension methods. */
export const EXTENSION_NAMES = new Set([STRINGS, NUMBERS, BOOLEANS, LISTS, OBJECTS, DATES].flatMap(Object.keys));

const TYPES = { String: STRINGS, Number: NUMBERS, Boolean: BOOLEANS, Array: LISTS, Object: OBJECTS, DateTime: DATES };

/** Call a method of a value: the type's own one, or the extension. */
export function extend(value, name, ...args) {
  if (value === null || value === undefined) {
    if (name === "isEmpty") return true;
    if (name === "isNotEmpty") return false;
    return value[name](...args);
  }
  const extension = extensionsFor(value)[name];
  // Luxon's own methods take units in another way.
  const prefersOwn = !(extension && isDate(value) && ["plus", "minus", "startOf"].includes(name));
  if (prefersOwn && typeof value[name] === "function") return value[name](...args);
  if (extension) return extension(value, ...args);
  const owners = Object.keys(TYPES)
    .filter((type) => name in TYPES[type])
    .map((type) => `"${type}"`);
  throw new ExpressionError(`${name}() is only callable on type ${owners.join(", ")}`);
}
