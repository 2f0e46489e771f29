// HTML: templates, tables of items, and what is in the elements of a page.

import { NodeError } from "../errors.js";
import { forEachItem } from "../services/items.js";
import { extracted } from "./html_extract.js";

export function htmlNode(call) {
  const operation = call.param("operation", 0, "generateHtmlTemplate");
  if (operation === "convertToHtmlTable") return [[table(call)]];
  const make = { generateHtmlTemplate: template, extractHtmlContent: extracted }[operation];
  if (!make) throw new NodeError(`The operation '${operation}' is not supported`);
  return [forEachItem(call, (index) => make(call, index))];
}

/** The parts of a template are evaluated with or without the "=" of expressions, and their values are written as text. */
function template(call, index) {
  const source = String(call.node.parameters.html ?? "").replace(/^=/, "");
  const html = source.replace(/\{\{([^]*?)\}\}/g, (part, code) => {
    if (code.trim() === "") throw new NodeError("invalid syntax");
    return String(call.resolved(`=${part}`, index));
  });
  return { html };
}

function table(call) {
  const options = call.param("options", 0, {});
  const open = (tag, attributes = "") => `<${tag}  ${attributes}>`;
  const columns = [...new Set(call.items.flatMap(({ json }) => Object.keys(json)))];
  const titles = columns.map((name) => `<th>${options.capitalize === true ? capitalized(name) : name}</th>`);
  const rows = call.items.map(({ json }) => {
    const cells = columns.map((name) => `${open("td", options.cellAttributes)}${cellOf(json[name])}</td>`);
    return `${open("tr", options.rowAttributes)}${cells.join("")}</tr>`;
  });
  const caption = options.caption ? `<caption>${options.caption}</caption>` : "";
  const head = `${open("thead", options.headerAttributes)}<tr>${titles.join("")}</tr></thead>`;
  const html = `${open("table", options.tableAttributes)}${caption}${head}<tbody>${rows.join("")}</tbody></table>`;
  return { json: { table: html }, pairedItem: call.items.map((_, item) => ({ item })) };
}

const cellOf = (value) =>
  typeof value === "boolean" ? `<input type="checkbox" ${value ? 'checked="checked"' : ""}/>` : String(value);

const capitalized = (name) =>
  name
    .split("_")
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join(" ");
