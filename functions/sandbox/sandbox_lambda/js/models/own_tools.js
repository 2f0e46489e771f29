// Tools that calculate or look something up.

import { NodeError } from "../errors.js";
import { jsonOf, responsesTo, withPairs, authOf } from "../requests.js";
import { evaluate } from "../vendor/calculator.js";

// The library reads 1e3 as the product of 1, Euler's number and 3. Models write numbers so, and large results are.
const SCIENTIFIC = /(\d+(?:\.\d*)?|\.\d+)[eE]([+-]?\d+)(?![\w.])/g;

/** Return the result of a mathematical expression, or say that it is none. */
export function calculated(text) {
  try {
    return String(evaluate(text.replace(SCIENTIFIC, (_, number, power) => `(${number}*10^(${Number(power)}))`)));
  } catch {
    return "I don't know how to do that.";
  }
}

const WIKIPEDIA = "https://en.wikipedia.org/w/api.php";
const PAGES = 3;
const LONGEST = 4_000;

/** Return the beginnings of the pages that match best. */
export function wikipediaResult(sender, text) {
  const query = { action: "query", list: "search", srsearch: text, format: "json" };
  const found = got(sender, query)?.query?.search?.slice(0, PAGES) ?? [];
  const pages = found.map(({ title }) => summaryOf(sender, title)).filter(Boolean);
  return pages.join("\n\n").slice(0, LONGEST) || "No good Wikipedia Search Result was found";
}

function summaryOf(sender, titles) {
  const query = { action: "query", prop: "extracts", explaintext: "true", redirects: "1", format: "json", titles };
  const [page] = Object.values(got(sender, query)?.query?.pages ?? {});
  return page?.extract ? `Page: ${page.title}\nSummary: ${page.extract}` : undefined;
}

function got(sender, query) {
  const [response] = responsesTo(sender, [{ method: "GET", url: withPairs(WIKIPEDIA, Object.entries(query)) }]);
  if (response.error || response.status >= 300) throw new NodeError("Network response was not ok");
  return jsonOf(response);
}

/** Return what the search engine answers, or the first thing that it finds. */
export function serpResult(sender, text) {
  const url = withPairs("https://serpapi.com/search", [["q", text]]);
  const [response] = responsesTo(sender, [{ method: "GET", url, auth: authOf("serpApi") }]);
  if (response.error || response.status >= 300)
    throw new NodeError(response.error ?? `Got ${response.status} error from serpAPI`);
  const { answer_box, answer_box_list, sports_results, knowledge_graph, organic_results } = jsonOf(response) ?? {};
  if (answer_box?.answer) return String(answer_box.answer);
  if (answer_box?.snippet) return String(answer_box.snippet);
  if (answer_box_list?.[0]) return JSON.stringify(answer_box_list[0]);
  if (sports_results) return JSON.stringify(sports_results);
  if (knowledge_graph?.description) {
    const { description, title, type } = knowledge_graph;
    return JSON.stringify([description, ...(type ? [`${title} type: ${type}`] : [])]);
  }
  const [first] = organic_results ?? [];
  return first ? JSON.stringify([first.snippet ?? first.link]) : "No good search result found";
}
