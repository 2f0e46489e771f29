// JSON Schemas of the arguments of tools, and of what a model is to answer.

import { NodeError } from "../errors.js";

const CALL = /\$fromAI\s*\(/gi;
const TYPES = ["string", "number", "boolean", "json"];

/**
 * Return what a node's parameters let the model decide with $fromAI: [{key, description, type, otherwise}]. It is found
 * in every text, wherever it stands there, as in n8n.
 */
export function decidedByModel(parameters) {
  const found = new Map();
  for (const text of textsIn(parameters))
    for (const match of text.matchAll(CALL)) {
      const argument = argumentOf(text, match.index + match[0].length);
      const known = found.get(argument.key);
      if (known && (known.description !== argument.description || known.type !== argument.type))
        throw new NodeError(`Duplicate key '${argument.key}' found with different description or type`);
      if (!known) found.set(argument.key, argument);
    }
  return [...found.values()];
}

function* textsIn(value) {
  if (typeof value === "string") yield value;
  else if (typeof value === "object" && value !== null)
    for (const nested of Object.values(value)) yield* textsIn(nested);
}

function argumentOf(text, start) {
  const { parts, source } = argumentsAt(text, start);
  const [key = "", description = "", kind = "string", otherwise] = parts.map(unquoted);
  if (key === "") throw new NodeError("You must specify a key when using $fromAI()");
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(key)) throw new NodeError(`Parameter key \`${key}\` is invalid`);
  const type = kind.toLowerCase();
  if (!TYPES.includes(type))
    throw new NodeError(`Failed to parse $fromAI arguments: ${source}: Error: Invalid type: ${type}`);
  return { key, description, type, ...(otherwise === undefined ? {} : { otherwise: valueOf(otherwise, type) }) };
}

/** Return the arguments in the parentheses that begin at `start`, and their text. */
function argumentsAt(text, start) {
  const parts = [];
  let depth = 0;
  let begin = start;
  for (let place = start; place < text.length; place += 1) {
    const letter = text[place];
    if (`"'\``.includes(letter)) {
      for (place += 1; place < text.length && text[place] !== letter; place += 1) if (text[place] === "\\") place += 1;
    } else if ("([{".includes(letter)) depth += 1;
    else if (depth > 0 && ")]}".includes(letter)) depth -= 1;
    else if (depth === 0 && (letter === "," || letter === ")")) {
      parts.push(text.slice(begin, place).trim());
      begin = place + 1;
      if (letter === ")") return { parts, source: text.slice(start, place) };
    }
  }
  throw new NodeError(`Unbalanced parentheses while parsing $fromAI call: ${text.slice(start)}`);
}

const ESCAPED = { n: "\n", t: "\t", r: "\r" };

function unquoted(source) {
  const [, , inner] = /^(["'`])([^]*)\1$/.exec(source) ?? [];
  return inner === undefined ? source : inner.replace(/\\([^])/g, (_, letter) => ESCAPED[letter] ?? letter);
}

function valueOf(text, type) {
  if (type === "string") return text;
  if (type === "number") return Number(text);
  if (type === "boolean") return text.toLowerCase() === "true";
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Return the JSON Schema of a tool's arguments. */
export function schemaOf(decided) {
  const required = decided.filter((one) => !("otherwise" in one)).map(({ key }) => key);
  const properties = decided.map(({ key, description, type, otherwise }) => [
    key,
    {
      ...(type === "json" ? {} : { type }),
      ...(description ? { description } : {}),
      ...(otherwise === undefined ? {} : { default: otherwise }),
    },
  ]);
  return {
    type: "object",
    properties: Object.fromEntries(properties),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

/** Return the JSON Schema of an example. `isStrict`: all of its fields are required. */
export function schemaOfExample(example, isStrict) {
  if (example === null) return { type: "null" };
  if (Array.isArray(example))
    return { type: "array", ...(example.length > 0 ? { items: schemaOfExample(example[0], isStrict) } : {}) };
  if (typeof example !== "object") return { type: typeof example };
  const properties = Object.entries(example).map(([key, value]) => [key, schemaOfExample(value, isStrict)]);
  return {
    type: "object",
    properties: Object.fromEntries(properties),
    ...(isStrict && properties.length > 0 ? { required: Object.keys(example) } : {}),
    additionalProperties: false,
  };
}
