// Reads XML: only what feeds need of it.

import { NodeError } from "../errors.js";
import { decodeHTML } from "../vendor/formats.js";

const TAG = /<(\/?)([^\s/>]+)((?:[^>"']|"[^"]*"|'[^']*')*?)(\/?)>/y;
const ATTRIBUTE = /([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
// What says nothing: comments, instructions, and declarations of types.
const SILENT = /(?:<!--[^]*?-->|<\?[^]*?\?>|<![A-Z](?:\[[^]*?\]|[^>[])*>)/y;

/** Return the root element: {name, attributes, children}; a child is a text or an element. */
export function rootOf(source) {
  const text = source.replace(/^\ufeff/, "");
  if (text.trim() === "") throw new NodeError("Unable to parse XML.");
  const top = { name: "", attributes: {}, children: [] };
  const open = [top];
  for (let position = 0; position < text.length;) position = read(text, position, open);
  const root = top.children.find((child) => typeof child !== "string");
  if (!root || open.length > 1) fail("Unclosed root tag", text, text.length);
  return root;
}

/** Read what is at the position into the innermost open element, and return the next position. */
function read(text, position, open) {
  const element = open.at(-1);
  if (text[position] !== "<") {
    const next = text.indexOf("<", position);
    const end = next < 0 ? text.length : next;
    const found = text.slice(position, end);
    if (open.length > 1) element.children.push(textOf(found, text, position));
    else if (found.trim()) fail(outside(element), text, position + found.search(/\S/));
    return end;
  }
  if (text.startsWith("<![CDATA[", position)) {
    const end = text.indexOf("]]>", position);
    element.children.push(text.slice(position + 9, end < 0 ? undefined : end));
    return end < 0 ? text.length : end + 3;
  }
  const silent = foundAt(SILENT, text, position);
  if (silent) return position + silent[0].length;
  const tag = foundAt(TAG, text, position);
  if (!tag) fail("Unencoded <", text, position + 1);
  const [found, isEnd, name, attributes, isEmpty] = tag;
  const end = position + found.length;
  if (isEnd) close(open, name, text, end - 1);
  else {
    const child = { name, attributes: attributesOf(attributes), children: [] };
    element.children.push(child);
    if (!isEmpty) open.push(child);
  }
  return end;
}

function foundAt(pattern, text, position) {
  pattern.lastIndex = position;
  return pattern.exec(text);
}

const outside = (top) =>
  top.children.length > 0 ? "Text data outside of root node." : "Non-whitespace before first tag.";

function close(open, name, text, position) {
  if (open.length < 2 || open.at(-1).name !== name) fail("Unexpected close tag", text, position);
  open.pop();
}

function textOf(found, text, position) {
  const bad = /&(?!#?\w)/.exec(found);
  if (bad) fail("Invalid character in entity name", text, position + bad.index + 1);
  return decodeHTML(found);
}

const attributesOf = (text) =>
  Object.fromEntries(
    [...text.matchAll(ATTRIBUTE)].map(([, name, double, single]) => [name, decodeHTML(double ?? single)]),
  );

function fail(message, text, position) {
  const lines = text.slice(0, position + 1).split("\n");
  const place = `Line: ${lines.length - 1}\nColumn: ${lines.at(-1).length}\nChar: ${text[position] ?? ""}`;
  throw new NodeError(`${message}\n${place}`);
}

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escaped = (text) => text.replace(/[&<>"]/g, (letter) => ESCAPES[letter]);

/** Return an element as XML, by default with its own name. */
export function xmlOf({ name, attributes, children }, tag = name) {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(value)}"`);
  const content = children.map((child) => (typeof child === "string" ? escaped(child) : xmlOf(child)));
  const head = `${tag}${list.join("")}`;
  return content.length > 0 ? `<${head}>${content.join("")}</${tag}>` : `<${head}/>`;
}
