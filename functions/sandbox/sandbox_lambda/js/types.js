// Conversion of values to the types that Set nodes and conditions ask for.

import { DateTime } from "./dates.js";
import { literalValue } from "./syntax.js";
import { isPlainObject } from "./values.js";

class ConversionFailed extends Error {}

const CONVERTERS = {
  string: (value) => (typeof value === "object" ? JSON.stringify(value) : String(value)),
  number(value) {
    const number = Number(value);
    if (Number.isNaN(number)) throw new ConversionFailed();
    return number;
  },
  boolean(value) {
    if (typeof value === "boolean") return value;
    if (typeof value === "string" && ["true", "false"].includes(value.toLowerCase())) {
      return value.toLowerCase() === "true";
    }
    const number = typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
    if (number !== 0 && number !== 1) throw new ConversionFailed();
    return number === 1;
  },
  array(value) {
    if (Array.isArray(value)) return value;
    const parsed = parseJson(value);
    if (!Array.isArray(parsed)) throw new ConversionFailed();
    return parsed;
  },
  object(value) {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
    const parsed = Array.isArray(value) ? value : parseJson(value);
    if (!isPlainObject(parsed)) throw new ConversionFailed();
    return parsed;
  },
  dateTime(value) {
    const date = parseDate(value);
    if (!date?.isValid) throw new ConversionFailed();
    return date;
  },
};

/** Return the value of JSON, or of an object or list as JavaScript writes it. */
export function parseJson(text) {
  try {
    return JSON.parse(String(text));
  } catch {
    const value = literalValue(String(text));
    if (value === undefined) throw new ConversionFailed();
    return value;
  }
}

/** Return the date of a text in one of the formats that n8n reads, or undefined. */
export function dateOfText(text, options) {
  for (const parser of ["fromISO", "fromHTTP", "fromRFC2822", "fromSQL"]) {
    const date = DateTime[parser](text, options);
    if (date.isValid) return date;
  }
  return undefined;
}

export function parseDate(value) {
  if (DateTime.isDateTime(value)) return value;
  if (value instanceof Date) return DateTime.fromJSDate(value);
  if (typeof value === "number") return DateTime.fromMillis(value);
  const text = String(value).trim();
  return dateOfText(text, { setZone: true }) ?? DateTime.fromMillis(legacyDate(text));
}

/** Read what only V8's Date.parse understands: a month or a year alone. Other texts are the engine's to read. */
function legacyDate(text) {
  if (!/^\d{1,2}$/.test(text)) return Date.parse(text);
  const number = Number(text);
  if (number >= 1 && number <= 12) return DateTime.local(2001, number, 1).toMillis();
  if (number === 0 || number >= 32) return DateTime.local(number < 50 ? 2000 + number : 1900 + number, 1, 1).toMillis();
  return Number.NaN;
}

/** Return {valid, value}. Strict means that only dates may be written as another type: as text. */
export function convert(value, type, strict = false) {
  if (type === "any" || !(type in CONVERTERS)) return { valid: true, value };
  if (strict && type !== "dateTime" && typeName(value) !== type) return { valid: false, value };
  try {
    return { valid: true, value: CONVERTERS[type](value) };
  } catch (error) {
    if (error instanceof ConversionFailed) return { valid: false, value };
    throw error;
  }
}

function typeName(value) {
  return Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
}

/** How messages name a value: its type for lists and objects, else the value in quotes. */
export function described(value) {
  return typeof value === "object" && value !== null ? typeName(value) : `'${String(value)}'`;
}
