// The methods that expressions add to JavaScript's own: "text".toTitleCase(), [1, 2].sum(), date.format("yyyy").

import { DateTime } from "./dates.js";
import { ExpressionError } from "./errors.js";
import { parseDate } from "./types.js";
import { isEqual, isPlainObject } from "./values.js";

const isList = Array.isArray;
const isDate = (value) => value instanceof Date || DateTime.isDateTime(value);

export function isEmptyValue(value) {
  if (value === null || value === undefined || value === "") return true;
  return typeof value === "object" && !isDate(value) && Object.keys(value).length === 0;
}

function toDate(value) {
  const date = parseDate(value);
  if (!date?.isValid) throw new ExpressionError("cannot convert to Luxon DateTime");
  return date;
}

function numbers(list, name) {
  if (list.some((value) => typeof value !== "number"))
    throw new ExpressionError(`${name}(): all array elements must be numbers`);
  return list;
}

function converted(number, message) {
  if (Number.isNaN(number)) throw new ExpressionError(message);
  return number;
}

const unique = (list) => list.filter((value, index) => list.findIndex((other) => isEqual(other, value)) === index);

const SMALL_WORDS = new Set(
  "a an and as at because but by en for if in neither nor of on only or over per so some than that the to up upon v versus via vs when with without yet".split(
    " ",
  ),
);

/** Words with a capital after their start stay as they are; small words get one only as first or last word. */
function titleCase(text) {
  const parts = text.split(/(\s+)/);
  const places = parts.flatMap((part, index) => (part.trim() ? [index] : []));
  return parts
    .map((word, index) => {
      if (!word.trim() || /\p{Ll}\p{Lu}|\p{Lu}.*\p{Lu}|\..+\p{L}|:\/\//u.test(word)) return word;
      if (SMALL_WORDS.has(word) && index !== places[0] && index !== places.at(-1)) return word;
      return word.replace(/\p{L}/u, (letter) => letter.toUpperCase());
    })
    .join("");
}

const STRINGS = {
  toTitleCase: titleCase,
  toSentenceCase: (text) =>
    text.toLowerCase().replace(/(^\s*|[.!?]\s+)([a-z])/g, (_, before, letter) => before + letter.toUpperCase()),
  toSnakeCase: (text) =>
    text
      .toLowerCase()
      .replace(/[ -]/g, "_")
      .replace(/[^\p{L}\p{N}_]/gu, ""),
  isEmpty: (text) => text === "",
  isNotEmpty: (text) => text !== "",
  isNumeric: (text) => text.trim() !== "" && !Number.isNaN(Number(text)) && !/\s/.test(text),
  isEmail: (text) => /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text),
  isUrl: (text) =>
    /^https?:\/\/(?:[^\s/@]+@)?(?:localhost|(?:[\p{L}\d-]+\.)+\p{L}{2,}|\d+(?:\.\d+){3})(?::\d+)?(?:[/?#]\S*)?$/iu.test(
      text,
    ),
  isDomain: (text) => /^(?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,}$/i.test(text),
  toNumber: (text) => converted(Number(text), "cannot convert to number"),
  toInt: (text, radix) => converted(Number.parseInt(text, radix), "cannot convert to integer"),
  toWholeNumber: (text, radix) => Number.parseInt(text, radix),
  toFloat(text) {
    if (text.includes(",")) throw new ExpressionError("cannot convert to float, expected . as decimal separator");
    return converted(Number.parseFloat(text), "cannot convert to float");
  },
  toDecimalNumber: (text) => Number.parseFloat(text),
  toBoolean: (text) => !["false", "no", "0", ""].includes(text.toLowerCase()),
  toDateTime: (text) => toDate(text),
  toDate: (text) => toDate(text).toJSDate(),
  removeTags: (text) => text.replace(/<[^>]*>/g, ""),
  removeMarkdown: (text) =>
    text
      .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replace(/^\s{0,3}(#{1,6}|>|[-*+])\s+/gm, "")
      .replace(/([*_~`])(\S(?:.*?\S)??)\1/g, "$2"),
  replaceSpecialChars: (text) =>
    text
      .normalize("NFD")
      .replace(/\p{M}/gu, "")
      .replace(/ß/g, "ss")
      .replace(/ø/g, "o")
      .replace(/Ø/g, "O")
      .replace(/æ/g, "ae")
      .replace(/Æ/g, "AE"),
  extractEmail: (text) => /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/.exec(text)?.[0],
  extractDomain: (text) =>
    /^(?:[a-z][a-z\d+.-]*:\/\/)?(?:[^\s@/]+@)?((?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,})/i.exec(text.trim())?.[1],
  extractUrl: (text) => /https?:\/\/[^\s<>"']+/i.exec(text)?.[0],
  extractUrlPath: (text) =>
    /^https?:\/\/[^/?#]+([^?#]*)/i.exec(text)?.[1] || (/^https?:/i.test(text) ? "/" : undefined),
  urlEncode: (text, whole) => (whole ? encodeURI(text) : encodeURIComponent(text)),
  urlDecode: (text, whole) => (whole ? decodeURI(text) : decodeURIComponent(text)),
  base64Encode: (text) => btoa(unescape(encodeURIComponent(text))),
  base64Decode: (text) => decodeURIComponent(escape(atob(text))),
  quote: (text, mark = '"') => mark + text.replaceAll("\\", "\\\\").replaceAll(mark, `\\${mark}`) + mark,
  parseJson(text) {
    try {
      return JSON.parse(text);
    } catch {
      throw new ExpressionError("Parsing failed");
    }
  },
  hash: (text, algorithm = "md5") => globalThis.__hash(String(algorithm), text, null),
  toJsonString: (text) => JSON.stringify(text),
};

const rounded = (number, decimals = 0) => Number(number.toFixed(decimals));

const NUMBERS = {
  round: rounded,
  floor: Math.floor,
  ceil: Math.ceil,
  abs: Math.abs,
  isEven: (number) => number % 2 === 0,
  isOdd: (number) => Math.abs(number) % 2 === 1,
  isInteger: Number.isInteger,
  isEmpty: (number) => number === 0,
  isNotEmpty: (number) => number !== 0,
  format: (number, locale = "en-US", options = undefined) => number.toLocaleString(locale, options),
  toBoolean: (number) => number !== 0,
  toInt: Math.round,
  toFloat: (number) => number,
  toNumber: (number) => number,
  toJsonString: (number) => JSON.stringify(number),
  toDateTime(number, format = "ms") {
    if (format === "s") return DateTime.fromSeconds(number);
    if (format === "us") return DateTime.fromMillis(number / 1000);
    if (format === "excel") return DateTime.fromMillis((number - 25_569) * 86_400_000, { zone: "UTC" });
    return DateTime.fromMillis(number);
  },
};

const BOOLEANS = {
  isEmpty: (value) => !value,
  isNotEmpty: (value) => value,
  toNumber: Number,
  toInt: Number,
  toFloat: Number,
  toBoolean: (value) => value,
  toJsonString: JSON.stringify,
};

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

const LISTS = {
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

const OBJECTS = {
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

const UNITS = (unit) => String(unit).replace(/s$/, "");
const plural = (unit) => `${UNITS(unit)}s`;
const shift = (amount, unit) => (typeof amount === "object" ? amount : { [plural(unit ?? "milliseconds")]: amount });
const luxon = (date) => (DateTime.isDateTime(date) ? date : DateTime.fromJSDate(date));

const DATES = {
  isEmpty: () => false,
  isNotEmpty: () => true,
  format: (date, format) => luxon(date).toFormat(format),
  plus: (date, amount, unit) => luxon(date).plus(shift(amount, unit)),
  minus: (date, amount, unit) => luxon(date).minus(shift(amount, unit)),
  beginningOf: (date, unit = "week") => luxon(date).startOf(UNITS(unit)),
  startOf: (date, unit = "week") => luxon(date).startOf(UNITS(unit)),
  endOfMonth: (date) => luxon(date).endOf("month"),
  extract: (date, part = "week") =>
    part === "week" || part === "weekNumber" ? luxon(date).weekNumber : luxon(date).get(UNITS(part)),
  isBetween(date, first, second) {
    const [a, b] = [toDate(first), toDate(second)];
    return luxon(date) > (a < b ? a : b) && luxon(date) < (a < b ? b : a);
  },
  isInLast: (date, amount = 0, unit = "minutes") =>
    luxon(date) > DateTime.now().minus({ [plural(unit)]: amount }) && luxon(date) < DateTime.now(),
  isWeekend: (date) => [6, 7].includes(luxon(date).weekday),
  isDst: (date) => luxon(date).isInDST,
  diffTo(date, other = new Date(), units = "days") {
    const list = isList(units) ? units.map(plural) : [plural(units)];
    const difference = luxon(date).diff(toDate(other), list);
    return isList(units) ? difference.toObject() : difference.as(list[0]);
  },
  diffToNow: (date, units = "days") => DATES.diffTo(date, new Date(), units),
  toDateTime: luxon,
  toInt: (date) => luxon(date).toMillis(),
  toJsonString: (date) => JSON.stringify(date),
};

function extensionsFor(value) {
  if (typeof value === "string") return STRINGS;
  if (typeof value === "number") return NUMBERS;
  if (typeof value === "boolean") return BOOLEANS;
  if (isList(value)) return LISTS;
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
