// The values of another node's parameters for each item: what the platform's own steps take.

import { passedItem } from "./calls.js";
import { date } from "./dates.js";

/**
 * `parameters.values` is a list of {kind, raw}: the kind "value" is any parameter, "string" a text, "text" the text of
 * HTML, "time" a point in time, and "call" what the node passes to another workflow. Each item of the result has them
 * as v0, v1, …; undefined is null. An item with several "addresses" is an item for each of them.
 */
export function valuesNode(call) {
  const values = call.node.parameters.values;
  const list = values.findIndex(({ kind }) => kind === "addresses");
  return [
    call.items.flatMap((item, index) => {
      const found = values.map(({ kind, raw }) => valueOf(call, item, index, kind, raw) ?? null);
      const all = list < 0 ? [found] : found[list].map((address) => found.with(list, address));
      return all.map((one) => ({
        json: Object.fromEntries(one.map((value, number) => [`v${number}`, value])),
        pairedItem: { item: index },
      }));
    }),
  ];
}

function valueOf(call, item, index, kind, raw) {
  if (kind === "call") return passedItem(call, item, index, raw);
  // Of definitions that were imported before calls passed all items.
  if (kind === "item") return item.json;
  const value = call.resolved(raw, index);
  if (kind === "addresses") return addressesIn(value);
  if (kind === "value") return value;
  if (kind === "time") return date(value).toISO();
  const text = typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "");
  return kind === "text" ? textOf(text) : text;
}

/** Return the mail {to, subject, text, html} for each address. */
export function mailsTo(to, subject, content, isHtml) {
  const body = String(content ?? "");
  const escaped = body.replace(/[&<>]/g, (letter) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[letter]);
  const html = isHtml ? body : escaped.replaceAll("\n", "<br>\n");
  const text = isHtml ? textOf(body) : body;
  return addressesIn(to).map((address) => ({ to: address, subject: String(subject ?? ""), text, html }));
}

/** Return the addresses of a list. A comma in quotes belongs to a name. */
function addressesIn(value) {
  const parts = Array.isArray(value) ? value.map(String) : (String(value ?? "").match(/(?:"[^"]*"|[^,;"])+/g) ?? []);
  const found = parts.map((part) => part.trim()).filter(Boolean);
  // Without an address, the step fails.
  return found.length > 0 ? found : [""];
}

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };

/** Return the text of HTML. Text without tags stays as it is. */
function textOf(html) {
  if (!/<[a-z!/][^>]*>/i.test(html)) return html;
  return html
    .replace(/<(style|script|head|title)\b.*?<\/\1\s*>/gis, "")
    .replace(/<a\b[^>]*\bhref="([^"]*)"[^>]*>(.*?)<\/a>/gis, (_, url, text) =>
      text.includes(url) ? text : `${text} (${url})`,
    )
    .replace(/\s*\n\s*/g, " ")
    .replace(/<br\s*\/?>|<\/(?:div|tr|li|h\d)\s*>/gi, "\n")
    .replace(/<\/(?:p|table|ul|ol|blockquote)\s*>/gi, "\n\n")
    .replace(/<li\b[^>]*>/gi, "- ")
    .replace(/<[^>]*>/g, "")
    .replace(/&#(\d{1,7});/g, (_, code) => String.fromCodePoint(Math.min(Number(code), 0x10ffff)))
    .replace(/&(\w+);/g, (entity, name) => ENTITIES[name.toLowerCase()] ?? entity)
    .replace(/[ \t]+/g, " ")
    .replace(/ *\n */g, "\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}
