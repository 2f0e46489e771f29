// Markdown: as HTML, and from HTML.

import { requireParameters } from "../services/items.js";
import { Converter } from "../showdown.js";
import { copy, set } from "../values.js";
import { NodeHtmlMarkdown } from "../vendor/formats.js";

export function markdownNode(call) {
  const toHtml = call.param("mode", 0, "htmlToMarkdown") === "markdownToHtml";
  requireParameters(call, [toHtml ? { name: "markdown", label: "Markdown" } : { name: "html", label: "HTML" }]);
  return [
    call.eachItem((item, index) => {
      const options = call.param("options", index, {});
      const source = call.param(toHtml ? "markdown" : "html", index);
      const text = toHtml ? htmlOf(source, options) : markdownOf(source, options);
      return set(copy(item.json), call.param("destinationKey", index, "data"), text);
    }),
  ];
}

function htmlOf(markdown, options) {
  const converter = new Converter();
  for (const [name, value] of Object.entries(options)) converter.setOption(name, value);
  return converter.makeHtml(markdown);
}

const LISTS = ["ignore", "blockElements"];

/** Options that are empty are those of the library. */
function markdownOf(html, options) {
  const given = Object.entries(options).filter(([, value]) => value);
  const read = ([name, value]) => [name, LISTS.includes(name) ? value.split(",").map((one) => one.trim()) : value];
  return NodeHtmlMarkdown.translate(html, Object.fromEntries(given.map(read)));
}
