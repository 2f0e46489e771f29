// Which requests HTTP Request sends, round by round: one for each item, or one for each page of each item.

import { contentType, jsonOf } from "../requests.js";
import { isEmptyValue } from "../extensions.js";
import { statusCodes } from "./http_response.js";

/**
 * Yield the requests of each round as a list of {index, request}. `prepared` has each item's request or error. The caller
 * adds the responses of a round to `results`, by item, before it asks for the next one.
 */
export function* pagesOf(call, prepared, results) {
  let open = prepared.flatMap(({ value }, index) =>
    value ? [{ index, request: value, pages: paginationOf(call, index) }] : [],
  );
  while (open.length > 0) {
    yield open.map(({ index, request, pages }) => ({
      index,
      request: pages ? request.finish(changes(call, index, pages, results[index].responses)) : request.finish(),
    }));
    open = open.filter(({ index, pages }) => pages && !isComplete(call, index, pages, results[index].responses));
  }
}

function paginationOf(call, index) {
  const pagination = call.version < 4 ? undefined : call.node.parameters.options?.pagination?.pagination;
  if (!pagination || call.resolved(pagination.paginationMode, index) === "off") return null;
  return pagination;
}

/** Return what a page's request changes: its URL, or fields of its query, headers or body. */
function changes(call, index, pages, responses) {
  showPage(call, responses);
  if (call.resolved(pages.paginationMode, index) === "responseContainsNextURL") {
    const url = call.resolved(pages.nextURL, index);
    return url ? { url: String(url) } : {};
  }
  const changed = { query: {}, headers: {}, body: {} };
  for (const entry of pages.parameters?.parameters ?? []) {
    const value = call.resolved(entry.value, index);
    const place = { body: "body", headers: "headers" }[entry.type] ?? "query";
    if (value !== undefined) changed[place][call.resolved(entry.name, index) ?? ""] = value;
  }
  return changed;
}

function isComplete(call, index, pages, responses) {
  const last = responses.at(-1);
  if (pages.limitPagesFetched === true && responses.length >= (call.resolved(pages.maxRequests, index) ?? 100))
    return true;
  const when = pages.paginationCompleteWhen ?? "responseIsEmpty";
  if (when === "receiveSpecificStatusCodes" && statusCodes(pages).includes(last.status)) return true;
  if (last.error || last.status >= 400) return true;
  if (when === "responseIsEmpty") return isEmptyValue(contentOf(last));
  if (when !== "other") return false;
  showPage(call, responses);
  return Boolean(call.resolved(pages.completeExpression, index));
}

const contentOf = (response) => (contentType(response).includes("application/json") ? jsonOf(response) : response.text);

/** Let expressions see the last page and how many there were. */
function showPage(call, responses) {
  const last = responses.at(-1);
  call.show({
    $pageCount: responses.length,
    $response: last ? { body: contentOf(last), headers: last.headers, statusCode: last.status } : undefined,
  });
}
