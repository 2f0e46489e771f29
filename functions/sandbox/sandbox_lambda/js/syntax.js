// Reads the code of expressions: which extension methods it calls, and whether it changes data.

import { parseExpressionAt } from "./vendor/acorn.js";
import { ExpressionError } from "./errors.js";

const OPTIONS = { ecmaVersion: "latest", allowAwaitOutsideFunction: false };
const CHANGING = new Set([
  "sort",
  "reverse",
  "splice",
  "push",
  "pop",
  "shift",
  "unshift",
  "fill",
  "copyWithin",
  "assign",
  "defineProperty",
]);

/**
 * Return {code, changes}: the code with each call of a method in `names` as a call of `extend(value, name, arguments)`,
 * and whether it may change the data that it reads.
 */
export function prepared(code, names, extend) {
  const tree = parse(code);
  const edits = [];
  const state = { changes: false };
  visit(tree, (node) => {
    checkAccess(node);
    if (node.type === "AssignmentExpression" || node.type === "UpdateExpression") state.changes = true;
    if (node.type === "UnaryExpression" && node.operator === "delete") state.changes = true;
    if (node.type !== "CallExpression" || node.callee.type !== "MemberExpression") return;
    const { property, computed } = node.callee;
    if (computed || property.type !== "Identifier") return;
    if (CHANGING.has(property.name)) state.changes = true;
    if (!names.has(property.name)) return;
    const start = node.arguments.length > 0 ? node.arguments[0].start : node.end - 1;
    // The value may stand in brackets, which belong to no node.
    const dot = code.lastIndexOf(".", property.start - 1);
    const end = code[dot - 1] === "?" ? dot - 1 : dot;
    edits.push([node.start, 0, `${extend}(`], [end, start - end, `, "${property.name}", `]);
  });
  // From the end, so that earlier places stay right. At one place, the outer call comes first.
  edits.sort((a, b) => b[0] - a[0] || b[1] - a[1]);
  let result = code;
  for (const [place, length, text] of edits) result = result.slice(0, place) + text + result.slice(place + length);
  return { code: result, changes: state.changes };
}

/** Return the value of a code that is only a literal, such as {a: [1, 'x']}, or undefined. */
export function literalValue(code) {
  try {
    return valueOf(parseExpressionAt(`(${code}\n)`, 0, OPTIONS));
  } catch {
    return undefined;
  }
}

function valueOf(node) {
  if (node.type === "Literal" && !node.regex && node.bigint === undefined) return node.value;
  if (node.type === "ArrayExpression") return node.elements.map(valueOf);
  if (node.type === "UnaryExpression" && node.operator === "-") return -valueOf(node.argument);
  if (node.type !== "ObjectExpression") throw new TypeError("no literal");
  return Object.fromEntries(
    node.properties.map(({ key, value, computed, kind }) => {
      if (computed || kind !== "init") throw new TypeError("no literal");
      return [key.type === "Identifier" ? key.name : String(key.value), valueOf(value)];
    }),
  );
}

function parse(code) {
  try {
    const tree = parseExpressionAt(code, 0, OPTIONS);
    // Only blanks, comments and the brackets around the expression may follow.
    const rest = code.slice(tree.end).replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "");
    if (/^[\s)]*$/.test(rest)) return tree;
    const sequence = parseExpressionAt(`(${code}\n)`, 0, { ...OPTIONS, preserveParens: true });
    return shifted(sequence);
  } catch (error) {
    if (error instanceof SyntaxError) throw new ExpressionError("invalid syntax");
    throw error;
  }
}

/** Move the places in a tree of "(code)" to those in the code. */
function shifted(tree) {
  visit(tree, (node) => {
    node.start -= 1;
    node.end -= 1;
  });
  return tree;
}

function visit(node, see) {
  see(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child?.type === "string") visit(child, see);
    }
  }
}

function checkAccess(node) {
  if (node.type !== "MemberExpression") return;
  const name = node.computed
    ? node.property.type === "Literal"
      ? node.property.value
      : undefined
    : node.property.name;
  if (name === "constructor") throw new ExpressionError("Expression contains invalid constructor function call");
  if (["__proto__", "prototype", "__defineGetter__", "__defineSetter__"].includes(name)) {
    throw new ExpressionError(`Cannot access "${name}" due to security concerns`);
  }
}
