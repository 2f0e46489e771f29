// Conditions of If, Filter and Switch: the current format (from version 2, of Switch from 3) and the first one.

import { NodeError } from "./errors.js";
import { convert } from "./types.js";

const exists = (value) => value !== undefined && value !== null && !Number.isNaN(value);

function pattern(text) {
  const parts = /^\/(.*?)\/([gimusy]*)$/.exec(String(text));
  if (!parts) return new RegExp(String(text));
  return new RegExp(parts[1], parts[2].replace("g", ""));
}

const COMPARISONS = {
  equals: (a, b) => a === b,
  notEquals: (a, b) => a !== b,
  gt: (a, b) => a > b,
  lt: (a, b) => a < b,
  gte: (a, b) => a >= b,
  lte: (a, b) => a <= b,
};

const TEXTS = {
  empty: (a) => a.length === 0,
  notEmpty: (a) => a.length !== 0,
  equals: (a, b) => a === b,
  notEquals: (a, b) => a !== b,
  contains: (a, b) => a.includes(b),
  notContains: (a, b) => !a.includes(b),
  startsWith: (a, b) => a.startsWith(b),
  notStartsWith: (a, b) => !a.startsWith(b),
  endsWith: (a, b) => a.endsWith(b),
  notEndsWith: (a, b) => !a.endsWith(b),
  regex: (a, b) => pattern(b).test(a),
  notRegex: (a, b) => !pattern(b).test(a),
};

const DATES = {
  equals: COMPARISONS.equals,
  notEquals: COMPARISONS.notEquals,
  after: COMPARISONS.gt,
  before: COMPARISONS.lt,
  afterOrEquals: COMPARISONS.gte,
  beforeOrEquals: COMPARISONS.lte,
};

const LISTS = {
  contains: (list, element) => list.includes(element),
  notContains: (list, element) => !list.includes(element),
  lengthEquals: (list, number) => list.length === number,
  lengthNotEquals: (list, number) => list.length !== number,
  lengthGt: (list, number) => list.length > number,
  lengthLt: (list, number) => list.length < number,
  lengthGte: (list, number) => list.length >= number,
  lengthLte: (list, number) => list.length <= number,
  empty: (list) => list.length === 0,
  notEmpty: (list) => list.length !== 0,
};

const TESTS = {
  string(operation, left, right, ignoreCase) {
    const lower = (value) => (ignoreCase && typeof value === "string" ? value.toLowerCase() : value);
    const isPattern = operation === "regex" || operation === "notRegex";
    return TEXTS[operation]?.(lower(left ?? ""), isPattern ? (right ?? "") : lower(right ?? ""));
  },
  number: (operation, left, right) =>
    operation === "empty"
      ? !exists(left)
      : operation === "notEmpty"
        ? exists(left)
        : COMPARISONS[operation]?.(left, right),
  boolean(operation, left, right) {
    const tests = { empty: !exists(left), notEmpty: exists(left), true: Boolean(left), false: !left };
    return tests[operation] ?? COMPARISONS[operation]?.(left, right);
  },
  dateTime(operation, left, right) {
    if (operation === "empty") return !exists(left);
    if (operation === "notEmpty") return exists(left);
    if (!left || !right) return false;
    return DATES[operation]?.(left.toMillis(), right.toMillis());
  },
  array(operation, left, right, ignoreCase) {
    const lower = (value) => (ignoreCase && typeof value === "string" ? value.toLowerCase() : value);
    return LISTS[operation]?.((left ?? []).map(lower), lower(right));
  },
  object(operation, left) {
    const empty = !left || Object.keys(left).length === 0;
    return { empty, notEmpty: !empty }[operation];
  },
};

function filterValue(value, type, strict, version) {
  if (value === undefined || value === null) return { valid: true, value };
  if (type === "boolean" && !strict) {
    const result = convert(value, type);
    return { valid: true, value: result.valid ? result.value : Boolean(value) };
  }
  // From the third version of conditions on, an empty text or list is no number.
  if (type === "number" && version >= 3 && String(value) === "") return { valid: true, value: null };
  if (type === "number" && Number.isNaN(value)) return { valid: true, value };
  return convert(value, type, strict);
}

function checked(value, type, strict, version, place) {
  const result = filterValue(value, type, strict, version);
  if (result.valid) return result.value;
  const expected = `${"aeiou".includes(type[0]) ? "an" : "a"} ${type}`;
  const actual = `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
  throw new NodeError(
    strict
      ? `Wrong type: '${String(value)}' is ${actual} but was expecting ${expected} ${place}`
      : `Conversion error: the ${typeof value} '${String(value)}' can't be converted to ${expected} ${place}`,
  );
}

/** Return whether conditions in the current format hold. `filter` has resolved values. */
export function filterHolds(filter, itemIndex) {
  const { options = {}, conditions = [], combinator = "and" } = filter;
  const strict = options.typeValidation === "strict";
  const holds = (condition, index) => {
    const { type, operation, rightType, singleValue } = condition.operator;
    const place = `[condition ${index}, item ${itemIndex}]`;
    const left = checked(condition.leftValue, type, strict, options.version ?? 1, place);
    if (operation === "exists") return exists(left);
    if (operation === "notExists") return !exists(left);
    const right = singleValue
      ? undefined
      : checked(condition.rightValue, rightType ?? type, strict, options.version ?? 1, place);
    return Boolean(TESTS[type]?.(operation, left, right, options.caseSensitive === false));
  };
  return combinator === "and" ? conditions.every(holds) : conditions.some(holds);
}

// ---- The first format ---------------------------------------------------------------------------------------------

function isEmpty(value) {
  if (value instanceof Date) return Number.isNaN(value.valueOf());
  if (typeof value === "object" && value !== null) return Object.entries(value).length === 0;
  return value === undefined || value === null || value === "" || Number.isNaN(value);
}

function method(value, name, argument) {
  if (value === undefined || value === null) {
    throw new NodeError(`Cannot read properties of ${value} (reading '${name}')`);
  }
  if (typeof value[name] !== "function") throw new NodeError(`value1.${name} is not a function`);
  return value[name](argument);
}

const text = (value) => (value || "").toString();

const FIRST_TESTS = {
  after: (a, b) => (a || 0) > (b || 0),
  before: (a, b) => (a || 0) < (b || 0),
  contains: (a, b) => text(a).includes(text(b)),
  notContains: (a, b) => !text(a).includes(text(b)),
  startsWith: (a, b) => method(a, "startsWith", b),
  notStartsWith: (a, b) => !method(a, "startsWith", b),
  endsWith: (a, b) => method(a, "endsWith", b),
  notEndsWith: (a, b) => !method(a, "endsWith", b),
  equal: (a, b) => a === b,
  notEqual: (a, b) => a !== b,
  larger: (a, b) => (a || 0) > (b || 0),
  largerEqual: (a, b) => (a || 0) >= (b || 0),
  smaller: (a, b) => (a || 0) < (b || 0),
  smallerEqual: (a, b) => (a || 0) <= (b || 0),
  isEmpty: (a) => isEmpty(a),
  isNotEmpty: (a) => !isEmpty(a),
  regex: (a, b) => pattern(b || "").test(text(a)),
  notRegex: (a, b) => !pattern(b || "").test(text(a)),
};

const DEFAULTS = {
  boolean: { operation: "equal", value2: false },
  dateTime: { operation: "after", value2: "" },
  number: { operation: "smaller", value2: 0 },
  string: { operation: "equal", value2: "" },
};

function milliseconds(value) {
  const number =
    typeof value === "string" ? new Date(value).getTime() : typeof value === "number" ? value : value?.valueOf?.();
  if (number === undefined || Number.isNaN(Number(number)) || typeof value === "boolean" || Array.isArray(value)) {
    throw new NodeError(`The value "${String(value)}" is not a valid DateTime.`);
  }
  return Number(number);
}

/** Return whether one condition of the first format holds. */
export function firstFormatHolds(type, condition) {
  const { operation, value1, value2 } = { ...DEFAULTS[type], ...condition };
  if (type !== "dateTime" || operation === "isEmpty" || operation === "isNotEmpty") {
    return FIRST_TESTS[operation](value1, value2);
  }
  return FIRST_TESTS[operation](milliseconds(value1), milliseconds(value2));
}

/** Return whether the conditions of an If or Filter of version 1 hold. */
export function firstConditionsHold(conditions, combineOperation) {
  const results = Object.keys(DEFAULTS).flatMap((type) =>
    (conditions?.[type] ?? []).map((condition) => () => firstFormatHolds(type, condition)),
  );
  const holds = (result) => result();
  return combineOperation === "any" ? results.some(holds) : results.every(holds);
}
