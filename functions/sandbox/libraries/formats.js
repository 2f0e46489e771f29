// What nodes need to read files: CSV, pages and selectors, texts of pages, Markdown of pages, and entities.

export { load } from "cheerio";
export { parse } from "csv-parse/browser/esm/sync";
export { decodeHTML } from "entities";
export { convert } from "html-to-text";
export { NodeHtmlMarkdown } from "node-html-markdown";
