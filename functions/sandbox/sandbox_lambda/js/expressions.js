// Expressions: text with parts in {{ }}. A text that is one part gives the part's value; others are joined as text.

import { DateTime, Duration, Interval } from "./dates.js";
import { ExpressionError } from "./errors.js";
import { isEmptyValue, rewriteCalls } from "./extensions.js";
import jmespath from "./jmespath.js";

const compiled = new Map();

/** Split "a {{ b }} c" into texts and codes. A part ends at the first }} that has no backslash before it. */
export function split(source) {
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

function compileCode(code) {
  const body = rewriteCalls(code);
  for (const source of [body, body.trim().replace(/;\s*$/, "")]) {
    try {
      return new Function("$scope", `with ($scope) { return (${source}\n) }`);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  throw new ExpressionError("invalid syntax");
}

function compile(source) {
  let chunks = compiled.get(source);
  if (!chunks) {
    chunks = split(source).map((chunk) => (chunk.code === undefined ? chunk : { run: compileCode(chunk.code) }));
    compiled.set(source, chunks);
  }
  return chunks;
}

function evaluate(run, scope) {
  try {
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
    const value = evaluate(chunks[0].run, scope);
    if (typeof value === "function") throw new ExpressionError("this is a function, please add ()");
    return value;
  }
  return chunks.map((chunk) => chunk.text ?? evaluate(chunk.run, scope) ?? "").map(String).join("");
}

const HIDDEN = ["globalThis", "eval", "Function", "AsyncFunction", "GeneratorFunction", "Reflect", "Proxy", "Promise"];

/** What expressions can name besides the data of the run. */
export const FUNCTIONS = {
  DateTime,
  Duration,
  Interval,
  $jmespath: (data, query) => jmespath.search(data, query),
  $if: (condition, then, otherwise) => (condition ? then : otherwise),
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
  get $env() {
    throw new ExpressionError("access to env vars denied");
  },
};

/** Return a scope for expressions over `data`. Unknown names are undefined, as in n8n. */
export function makeScope(data) {
  return new Proxy(data, {
    has: (target, name) => typeof name === "string" && name !== "$scope" && (name in target || HIDDEN.includes(name) || !(name in globalThis)),
    get: (target, name) => (typeof name === "symbol" || HIDDEN.includes(name) ? undefined : target[name]),
  });
}
