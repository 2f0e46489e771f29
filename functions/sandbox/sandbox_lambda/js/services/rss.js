// RSS Read: the entries of a feed as items.

import { NodeError } from "../errors.js";
import { encodedUrl } from "../requests.js";
import { FeedParser } from "../vendor/formats.js";
import { forEachItem, requireParameters } from "./items.js";

const ACCEPT = "application/rss+xml";
const ACCEPTS = `${ACCEPT}, application/rdf+xml;q=0.8, application/atom+xml;q=0.6, application/xml;q=0.4, text/xml;q=0.4`;

export async function rssFeedReadNode(call) {
  requireParameters(call, [{ name: "url", label: "URL" }]);
  const everything = call.items.map((_, item) => ({ item }));
  const one = call.version >= 1.1 ? call : { ...call, items: call.items.slice(0, 1) };
  const texts = forEachItem(one, (index) => ({ text: textOf(call, index), index }));
  const items = [];
  for (const { json, pairedItem } of texts) {
    const paired = { pairedItem: call.version >= 1.1 ? pairedItem : everything };
    if (json.error !== undefined) {
      items.push({ json, ...paired });
      continue;
    }
    try {
      items.push(...(await entriesOf(call, json)).map((entry) => ({ json: entry, ...paired })));
    } catch (error) {
      if (!call.continues) throw error;
      items.push({ json: { error: error.message }, ...paired });
    }
  }
  return [items];
}

function textOf(call, index) {
  const url = call.param("url", index, "");
  if (!url) throw new NodeError('The parameter "URL" has to be set!');
  if (!/^(https?:\/\/[^\s/?#]|(?!https?:)[a-z][a-z\d+.-]*:)/i.test(String(url).trim()))
    throw new NodeError('The provided "URL" is not valid!');
  const headers = { accept: call.version >= 1.2 ? ACCEPTS : ACCEPT };
  const [response] = call.send([{ method: "GET", url: encodedUrl(String(url).trim()), headers, redirects: 10 }]);
  if (response.error) throw new NodeError(response.error);
  if (response.status >= 300) throw new NodeError(`Request failed with status code ${response.status}`);
  return response.text ?? "";
}

async function entriesOf(call, { text, index }) {
  const { customFields = "" } = call.param("options", index, {});
  const item = String(customFields)
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);
  try {
    return (await new FeedParser({ customFields: { item } }).parseString(text)).items;
  } catch (error) {
    throw new NodeError(error.message);
  }
}
