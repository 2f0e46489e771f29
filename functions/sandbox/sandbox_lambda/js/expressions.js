// Expressions: text with parts in {{ }}. A text that is one part gives the part's value; others are joined as text.

import { DateTime, Duration, Interval } from "./dates.js";
import { ExpressionError } from "./errors.js";
import { EXTENSION_NAMES, extend, isEmptyValue } from "./extensions.js";
import jmespath from "./jmespath.js";
import { prepared } from "./syntax.js";

const compiled = new Map();

/** Split "a {{ b }} c" into texts and codes. A part ends at the first }} that has no backslash before it. */
function split(source) {
  const chunks = [];
  let position = 0;
  while (position <= source.length) {
    const open = find(source, "{{", position);
    const text = source.slice(position, open < 0 ? undefined : open).replace(/\\(\{\{)/g, "$1");
    if (text) chunks.push({ text });
    if (open < 0) break;
    const close = find(source, "}}", open + 2);
    if (close < 0) throw new ExpressionError("invalid syntax");
    chunks.push({ code: source.slice(open + 2, close).replace(/\\(\}\})/g, "$1") });
    position = close + 2;
  }
  return chunks;
}

function find(source, brackets, start) {
  let index = source.indexOf(brackets, start);
  while (index > 0 && source[index - 1] === "\\") index = source.indexOf(brackets, index + 2);
  return index;
}

function compileCode(source) {
  const { code, changes } = prepared(source.trim().replace(/;$/, ""), EXTENSION_NAMES, "$extend");
  try {
    return { run: new Function("$scope", `with ($scope) { return (${code}\n) }`), changes };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ExpressionError("invalid syntax");
  }
}

function compile(source) {
  let chunks = compiled.get(source);
  if (!chunks) {
    chunks = split(source).map((chunk) => (chunk.code === undefined ? chunk : compileCode(chunk.code)));
    compiled.set(source, chunks);
  }
  return chunks;
}

function evaluate({ run, changes }, scope) {
  try {
    // The data of the run stays as it is: such code gets copies.
    if (changes) scope.$copyData();
    return run(scope);
  } catch (error) {
    // As in n8n: reading a field of nothing gives nothing.
    if (error instanceof ExpressionError) throw error;
    return undefined;
  }
}

/** Return the value of a parameter: every text in it that begins with "=" is evaluated. */
export function resolve(value, scope) {
  if (typeof value === "string") return value.startsWith("=") ? resolveText(value.slice(1), scope) : value;
  if (Array.isArray(value)) return value.map((element) => resolve(element, scope));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, nested]) => [key, resolve(nested, scope)]));
  }
  return value;
}

function resolveText(source, scope) {
  const chunks = compile(source);
  if (chunks.length === 1 && chunks[0].run) {
    const value = evaluate(chunks[0], scope);
    if (DateTime.isDateTime(value)) return String(value);
    if (typeof value === "function") throw new ExpressionError("this is a function, please add ()");
    return value;
  }
  return chunks
    .map((chunk) => chunk.text ?? evaluate(chunk, scope) ?? "")
    .map(String)
    .join("");
}

/** Return a text with expressions in which objects and lists are written as JSON. */
export function resolveJson(value, scope) {
  if (typeof value !== "string" || !value.startsWith("=")) return value;
  const chunks = compile(value.slice(1));
  if (chunks.length === 1 && chunks[0].run) return resolve(value, scope);
  const written = (part) => (typeof part === "object" && part !== null ? JSON.stringify(part) : String(part ?? ""));
  return chunks.map((chunk) => chunk.text ?? written(evaluate(chunk, scope))).join("");
}

const HIDDEN = [
  "globalThis",
  "eval",
  "Function",
  "AsyncFunction",
  "GeneratorFunction",
  "Reflect",
  "Proxy",
  "Promise",
  "atob",
  "btoa",
];

/** What expressions can name besides the data of the run. */
export const FUNCTIONS = {
  DateTime,
  Duration,
  Interval,
  $jmespath: (data, query) => jmespath.search(data, query),
  $extend: extend,
  $if: (condition, then, otherwise = false) => (condition ? then : otherwise),
  $ifEmpty: (value, otherwise) => (isEmptyValue(value) ? otherwise : value),
  $min: (...numbers) => Math.min(...numbers),
  $max: (...numbers) => Math.max(...numbers),
  $average: (...numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length,
  $not: (value) => !value,
  get $now() {
    return DateTime.now();
  },
  get $today() {
    return DateTime.now().startOf("day");
  },
  $env: new Proxy(
    {},
    {
      get(_, name) {
        if (typeof name === "string" && !["toJSON", "isLuxonDateTime"].includes(name))
          throw new ExpressionError("access to env vars denied");
        return undefined;
      },
    },
  ),
};

/** Return a scope for expressions over `data`. Unknown names are undefined, as in n8n. */
export function makeScope(data) {
  return new Proxy(data, {
    has: (target, name) =>
      typeof name === "string" &&
      name !== "$scope" &&
      (name in target || HIDDEN.includes(name) || !(name in globalThis)),
    get: (target, name) => (typeof name === "symbol" || HIDDEN.includes(name) ? undefined : target[name]),
  });
}
