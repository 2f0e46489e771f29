// The methods that expressions add to JavaScript's own: "text".toTitleCase(), [1, 2].sum(), date.format("yyyy").

import { DateTime } from "./dates.js";
import { ExpressionError } from "./errors.js";
import { parseDate } from "./types.js";
import { copy, isEqual, isPlainObject, mergeDeep } from "./values.js";

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

function numbers(list) {
  return list.map((value) => {
    if (typeof value !== "number" && Number.isNaN(Number(value))) throw new ExpressionError("arg to be number");
    return Number(value);
  });
}

const unique = (list) => list.filter((value, index) => list.findIndex((other) => isEqual(other, value)) === index);
const words = (text) => text.replace(/([a-z\d])([A-Z])/g, "$1 $2").split(/[\s_-]+/).filter(Boolean);

const SMALL_WORDS = new Set("a an and as at because but by en for if in neither nor of on only or over per so some than that the to up upon v versus via vs when with without yet".split(" "));

/** Words with a capital after their start stay as they are; small words get one only as first or last word. */
function titleCase(text) {
  const parts = text.split(/(\s+)/);
  const places = parts.flatMap((part, index) => (part.trim() ? [index] : []));
  return parts.map((word, index) => {
    if (!word.trim() || /\p{Ll}\p{Lu}|\p{Lu}.*\p{Lu}|\..+\p{L}|:\/\//u.test(word)) return word;
    if (SMALL_WORDS.has(word) && index !== places[0] && index !== places.at(-1)) return word;
    return word.replace(/\p{L}/u, (letter) => letter.toUpperCase());
  }).join("");
}

const STRINGS = {
  toTitleCase: titleCase,
  toSentenceCase: (text) => text.toLowerCase().replace(/(^\s*|[.!?]\s+)([a-z])/g, (_, before, letter) => before + letter.toUpperCase()),
  toSnakeCase: (text) => words(text.replace(/[^\w\s-]/g, "")).join("_").toLowerCase(),
  isEmpty: (text) => text === "",
  isNotEmpty: (text) => text !== "",
  isNumeric: (text) => text.trim() !== "" && !Number.isNaN(Number(text)) && !/\s/.test(text),
  isEmail: (text) => /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text),
  isUrl: (text) => /^https?:\/\/[^\s/$.?#].\S*$/i.test(text),
  isDomain: (text) => /^(?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,}$/i.test(text),
  toNumber(text) {
    const number = Number(text.replace(/,/g, "."));
    if (Number.isNaN(number)) throw new ExpressionError("cannot convert to number");
    return number;
  },
  toInt: (text, radix) => Number.parseInt(text.replace(/[^\d+\-.\w]/g, ""), radix),
  toWholeNumber: (text, radix) => Number.parseInt(text, radix),
  toFloat: (text) => Number.parseFloat(text.replace(/[^\d+\-.]/g, "")),
  toDecimalNumber: (text) => Number.parseFloat(text),
  toBoolean: (text) => !["false", "no", "0", ""].includes(text.toLowerCase()),
  toDateTime: (text) => toDate(text),
  toDate: (text) => toDate(text).toJSDate(),
  removeTags: (text) => text.replace(/<[^>]*>/g, ""),
  removeMarkdown: (text) => text.replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/^\s{0,3}(#{1,6}|>|[-*+])\s+/gm, "").replace(/(\*\*|__|\*|_|~~|`+)/g, ""),
  replaceSpecialChars: (text) => text.normalize("NFD").replace(/\p{M}/gu, "").replace(/ß/g, "ss").replace(/ø/g, "o").replace(/Ø/g, "O").replace(/æ/g, "ae").replace(/Æ/g, "AE"),
  extractEmail: (text) => /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/.exec(text)?.[0],
  extractDomain: (text) => /^(?:[a-z][a-z\d+.-]*:\/\/)?(?:[^\s@/]+@)?((?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,})/i.exec(text.trim())?.[1],
  extractUrl: (text) => /https?:\/\/[^\s<>"']+/i.exec(text)?.[0],
  extractUrlPath: (text) => /^https?:\/\/[^/?#]+([^?#]*)/i.exec(text)?.[1] || (/^https?:/i.test(text) ? "/" : undefined),
  urlEncode: (text, whole) => (whole ? encodeURI(text) : encodeURIComponent(text)),
  urlDecode: (text, whole) => (whole ? decodeURI(text) : decodeURIComponent(text)),
  base64Encode: (text) => btoa(unescape(encodeURIComponent(text))),
  base64Decode: (text) => decodeURIComponent(escape(atob(text))),
  quote: (text, mark = '"') => mark + text.replaceAll("\\", "\\\\").replaceAll(mark, `\\${mark}`) + mark,
  parseJson: (text) => JSON.parse(text),
  toJsonString: (text) => JSON.stringify(text),
};

const rounded = (number, decimals = 0) => Math.round((number + Number.EPSILON) * 10 ** decimals) / 10 ** decimals;

const NUMBERS = {
  round: rounded,
  floor: Math.floor,
  ceil: Math.ceil,
  abs: Math.abs,
  isEven: (number) => number % 2 === 0,
  isOdd: (number) => Math.abs(number) % 2 === 1,
  isInteger: Number.isInteger,
  isEmpty: () => false,
  isNotEmpty: () => true,
  format: (number, _locale, options) => number.toLocaleString("en-US", options),
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
  isEmpty: () => false,
  isNotEmpty: () => true,
  toNumber: Number,
  toInt: Number,
  toFloat: Number,
  toBoolean: (value) => value,
  toJsonString: JSON.stringify,
};

function plucked(list, ...names) {
  if (names.length === 0) return list;
  return list.map((value) => {
    if (!isPlainObject(value)) return undefined;
    if (names.length === 1) return value[names[0]];
    return Object.fromEntries(names.filter((name) => name in value).map((name) => [name, value[name]]));
  }).filter((value) => value !== undefined);
}

const without = (list, other) => list.filter((value) => !other.some((candidate) => isEqual(candidate, value)));

const LISTS = {
  isEmpty: (list) => list.length === 0,
  isNotEmpty: (list) => list.length > 0,
  first: (list) => list[0],
  last: (list) => list.at(-1),
  randomItem: (list) => list[Math.floor(Math.random() * list.length)],
  sum: (list) => numbers(list).reduce((sum, number) => sum + number, 0),
  average: (list) => (list.length === 0 ? 0 : numbers(list).reduce((sum, number) => sum + number, 0) / list.length),
  min: (list) => Math.min(...numbers(list)),
  max: (list) => Math.max(...numbers(list)),
  unique: (list, ...names) =>
    names.length === 0
      ? unique(list)
      : list.filter((value, index) => list.findIndex((other) => names.every((name) => isEqual(other?.[name], value?.[name]))) === index),
  removeDuplicates: (list, ...names) => LISTS.unique(list, ...names),
  compact: (list) => list.filter((value) => value !== null && value !== undefined && value !== "" && value !== "nil" && !(typeof value === "object" && Object.keys(value).length === 0)),
  chunk(list, size) {
    if (typeof size !== "number" || size <= 0) throw new ExpressionError("chunk() requires a non-zero number");
    return Array.from({ length: Math.ceil(list.length / size) }, (_, index) => list.slice(index * size, (index + 1) * size));
  },
  pluck: plucked,
  append: (list, ...values) => [...list, ...values],
  union: (list, other = []) => unique([...list, ...other]),
  difference: (list, other = []) => without(list, other),
  intersection: (list, other = []) => unique(list.filter((value) => other.some((candidate) => isEqual(candidate, value)))),
  merge: (list, other) => (other ? list.map((value, index) => ({ ...other[index], ...value })) : Object.assign({}, ...list)),
  renameKeys: (list, ...names) => list.map((value) => {
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
  smartJoin: (list, key, value) => Object.fromEntries(list.filter(isPlainObject).map((entry) => [entry[key], entry[value]])),
  toJsonString: (list) => JSON.stringify(list),
};

const matching = (object, keep) => Object.fromEntries(Object.entries(object).filter(([key, value]) => keep(key, value)));

const OBJECTS = {
  isEmpty: (object) => Object.keys(object).length === 0,
  isNotEmpty: (object) => Object.keys(object).length > 0,
  keys: Object.keys,
  values: Object.values,
  hasField: (object, name) => Object.hasOwn(object, name),
  removeField: (object, name) => matching(object, (key) => key !== name),
  removeFieldsContaining: (object, text) => matching(object, (_, value) => !(typeof value === "string" && value.includes(text))),
  keepFieldsContaining: (object, text) => matching(object, (_, value) => typeof value === "string" && value.includes(text)),
  compact: (object) => matching(object, (_, value) => value !== null && value !== undefined && value !== "nil" && value !== ""),
  merge: (object, other) => mergeDeep(copy(other ?? {}), object),
  urlEncode: (object) => Object.entries(object).map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join("&"),
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
  extract: (date, part = "week") => (part === "week" || part === "weekNumber" ? luxon(date).weekNumber : luxon(date).get(UNITS(part))),
  isBetween(date, first, second) {
    const [a, b] = [toDate(first), toDate(second)];
    return luxon(date) > (a < b ? a : b) && luxon(date) < (a < b ? b : a);
  },
  isInLast: (date, amount = 0, unit = "minutes") => luxon(date) > DateTime.now().minus({ [plural(unit)]: amount }) && luxon(date) < DateTime.now(),
  isWeekend: (date) => [6, 7].includes(luxon(date).weekday),
  isDst: (date) => luxon(date).isInDST,
  diffTo(date, other = new Date(), units = "days") {
    const list = isList(units) ? units.map(plural) : [plural(units)];
    const difference = toDate(other).diff(luxon(date), list);
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

const NAMES = new Set([STRINGS, NUMBERS, BOOLEANS, LISTS, OBJECTS, DATES].flatMap(Object.keys));
const PREFIX = "$extension_";

for (const name of NAMES) {
  Object.defineProperty(Object.prototype, PREFIX + name, {
    value(...args) {
      // Luxon's and JavaScript's own methods come first, except where theirs take no units.
      const extension = extensionsFor(this)[name];
      const own = typeof this[name] === "function" && !(extension && isDate(this) && ["plus", "minus", "startOf"].includes(name));
      if (own) return this[name](...args);
      if (!extension) throw new ExpressionError(`${name}() is only callable on other types than ${typeof this}`);
      return extension(this, ...args);
    },
  });
}

const CALLS = new RegExp(`("(?:[^"\\\\]|\\\\.)*"|'(?:[^'\\\\]|\\\\.)*')|\\.(${[...NAMES].join("|")})(?=\\()`, "g");

/** Let calls of extension methods in a code call this module's. */
export function rewriteCalls(code) {
  return code.replace(CALLS, (match, quoted, name) => (quoted ? match : `.${PREFIX}${name}`));
}
