// RSS Read: the entries of a feed as items.

import { NodeError } from "../errors.js";
import { Pending, encodedUrl } from "../requests.js";
import { decodeHTML } from "../vendor/formats.js";
import { requireParameters } from "./items.js";
import { rootOf, xmlOf } from "./xml.js";

const ACCEPT = "application/rss+xml";
const ACCEPTS = `${ACCEPT}, application/rdf+xml;q=0.8, application/atom+xml;q=0.6, application/xml;q=0.4, text/xml;q=0.4`;

export function rssFeedReadNode(call) {
  requireParameters(call, [{ name: "url", label: "URL" }]);
  const everything = call.items.map((_, item) => ({ item }));
  const read = call.version >= 1.1 ? call.items : call.items.slice(0, 1);
  const items = read.flatMap((_, index) => {
    const pairedItem = call.version >= 1.1 ? { item: index } : everything;
    try {
      return feedOf(call, index).map((json) => ({ json, pairedItem }));
    } catch (error) {
      if (!call.continues || error instanceof Pending) throw error;
      return [{ json: { error: error.message }, pairedItem }];
    }
  });
  return [items];
}

function feedOf(call, index) {
  const url = call.param("url", index, "");
  if (!url) throw new NodeError('The parameter "URL" has to be set!');
  if (!/^(https?:\/\/[^\s/?#]|(?!https?:)[a-z][a-z\d+.-]*:)/i.test(String(url).trim()))
    throw new NodeError('The provided "URL" is not valid!');
  const headers = { accept: call.version >= 1.2 ? ACCEPTS : ACCEPT };
  const [response] = call.send([{ method: "GET", url: encodedUrl(String(url).trim()), headers, redirects: 10 }]);
  if (response.error) throw new NodeError(response.error);
  if (response.status >= 300) throw new NodeError(`Request failed with status code ${response.status}`);
  const { customFields = "" } = call.param("options", index, {});
  const names = String(customFields)
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);
  return entriesOf(rootOf(response.text ?? ""), names);
}

function entriesOf(root, custom) {
  if (root.name === "feed") return all(root, "entry").map((entry) => ofAtom(entry, custom));
  if (root.name === "rdf:RDF") return all(root, "item").map((item) => ofRss(item, custom));
  const version = root.attributes.version ?? "";
  if (root.name !== "rss" || !/^(2|0\.9)/.test(version)) throw new NodeError("Feed not recognized as RSS 1 or 2.");
  const items = all(root, "channel").flatMap((channel) => all(channel, "item"));
  const isPodcast = version.startsWith("2") && "xmlns:itunes" in root.attributes;
  return items.map((item) => ({ ...ofRss(item, custom), ...(isPodcast ? { itunes: podcastOf(item) } : {}) }));
}

const all = (element, name) => element.children.filter((child) => child.name === name);

/** Return the value of an element's first child of that name, or undefined. */
function valueIn(element, name) {
  const [child] = all(element, name);
  return child && valueOf(child);
}

const textIn = ({ children }) => children.filter((child) => typeof child === "string").join("");

/** An element is its text. One without a text is an object: with its attributes in "$", and lists of its elements. */
function valueOf(element) {
  const plain = plainOf(element);
  return plain._ ?? plain;
}

function plainOf(element) {
  const text = textIn(element).trim() === "" ? "" : textIn(element);
  const elements = element.children.filter((child) => typeof child !== "string");
  const hasAttributes = Object.keys(element.attributes).length > 0;
  if (elements.length === 0 && !hasAttributes) return text;
  const plain = { ...(text ? { _: text } : {}), ...(hasAttributes ? { $: element.attributes } : {}) };
  for (const child of elements) (plain[child.name] ??= []).push(plainOf(child));
  return plain;
}

// Fields of items, and what they are called.
const FIELDS = {
  "dc:creator": "creator",
  "dc:date": "date",
  "dc:language": "language",
  "dc:rights": "rights",
  "dc:source": "source",
  "dc:title": "title",
};
const SAME_FIELDS = "title link pubDate author summary content:encoded enclosure dc:creator dc:date comments".split(
  " ",
);

function ofRss(item, custom) {
  const json = {};
  const add = (name, value) => {
    if (value !== undefined) json[name] = value;
  };
  for (const [name, called] of Object.entries(FIELDS)) add(called, valueIn(item, name));
  for (const name of [...SAME_FIELDS, ...custom]) add(name, valueIn(item, name));
  if (json.enclosure?.$) json.enclosure = json.enclosure.$;
  if (json["content:encoded"]) json["content:encodedSnippet"] = snippetOf(json["content:encoded"]);
  const [description] = all(item, "description");
  if (description) {
    json.content = contentOf(description);
    json.contentSnippet = snippetOf(json.content);
  }
  add("guid", valueIn(item, "guid"));
  add("rdf:about", item.attributes["rdf:about"]);
  const categories = all(item, "category").map(plainOf);
  if (categories.length > 0) json.categories = categories;
  add("isoDate", isoDate(json.pubDate ?? json.date));
  return json;
}

/** Elements in a text are XML, as if they were in a "div". */
function contentOf(element) {
  const value = valueOf(element);
  return typeof value === "string" ? value : xmlOf(element, "div");
}

function isoDate(text) {
  const date = new Date(text || Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

const BLOCK_TAGS = ["blockquote", "br", "div", "h", "li", "ol", "p", "section", "table", "tr", "ul"];
// A tag has to stand between two letters of a line, and a letter is in one match only.
const BLOCKS = new RegExp(`([^\\n])</?(?:${BLOCK_TAGS.join("|")})[^>]*>([^\\n])`, "g");

/** Return the text of HTML, with a line for each of its blocks. */
const snippetOf = (html) =>
  decodeHTML(
    String(html)
      .replace(BLOCKS, "$1\n$2")
      .replace(/<[^>]*>/g, ""),
  ).trim();

const PODCAST = "author subtitle summary explicit duration episode season keywords episodeType".split(" ");

function podcastOf(item) {
  const fields = PODCAST.map((name) => [name, valueIn(item, `itunes:${name}`)]);
  const [image] = all(item, "itunes:image");
  fields.push(["image", image?.attributes.href]);
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined));
}

function ofAtom(entry, custom) {
  const json = {};
  const add = (name, value) => {
    if (value) json[name] = value;
  };
  for (const name of custom) add(name, valueIn(entry, name));
  add("title", valueIn(entry, "title"));
  const links = all(entry, "link").map((link) => link.attributes);
  add("link", (links.find(({ rel }) => rel === "alternate") ?? links[0])?.href);
  add("pubDate", isoDate(valueIn(entry, "published") ?? valueIn(entry, "updated")));
  add("isoDate", json.pubDate);
  const [author] = all(entry, "author");
  add("author", author && valueIn(author, "name"));
  const [content] = all(entry, "content");
  if (content) {
    json.content = contentOf(content);
    json.contentSnippet = snippetOf(json.content);
  }
  const [summary] = all(entry, "summary");
  if (summary) json.summary = contentOf(summary);
  add("id", valueIn(entry, "id"));
  return json;
}
