// What nodes need to read files: CSV, XML, feeds, mail, pages and selectors, texts of pages, Markdown of pages, entities.

import "./web.js";

export { load } from "cheerio";
export { parse } from "csv-parse/browser/esm/sync";
export { decodeHTML, encodeNonAsciiHTML } from "entities";
export { convert } from "html-to-text";
export { NodeHtmlMarkdown } from "node-html-markdown";
export { default as PostalMime } from "postal-mime";
export { default as FeedParser } from "rss-parser";
export { Builder, Parser } from "xml2js";
