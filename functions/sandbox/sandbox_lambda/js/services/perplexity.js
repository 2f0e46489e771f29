// Perplexity: answers to messages, versions 1 and 2.

import { NodeError } from "../errors.js";
import { authOf, HttpError, jsonOf, requireSuccess, statusText } from "../requests.js";
import { forEachItem } from "./items.js";

const URL = "https://api.perplexity.ai/chat/completions";
const HEADERS = { "content-type": "application/json", "x-source": "n8n" };
const FIRST_LISTS = { searchDomainFilter: "search_domain_filter" };
const LATER_LISTS = {
  imageDomainFilter: "image_domain_filter",
  imageFormatFilter: "image_format_filter",
  searchLanguageFilter: "search_language_filter",
  stop: "stop",
};
const LATER_JSON = { responseFormat: "response_format", webSearchOptions: "web_search_options" };
const FIRST_OPTIONS = {
  frequencyPenalty: "frequency_penalty",
  maxTokens: "max_tokens",
  temperature: "temperature",
  presencePenalty: "presence_penalty",
  returnImages: "return_images",
  returnRelatedQuestions: "return_related_questions",
  searchRecency: "search_recency_filter",
  topK: "top_k",
  topP: "top_p",
};
const LATER_OPTIONS = {
  disableSearch: "disable_search",
  enableSearchClassifier: "enable_search_classifier",
  languagePreference: "language_preference",
  lastUpdatedAfter: "last_updated_after_filter",
  lastUpdatedBefore: "last_updated_before_filter",
  reasoningEffort: "reasoning_effort",
  searchAfterDate: "search_after_date_filter",
  searchBeforeDate: "search_before_date_filter",
  searchMode: "search_mode",
};

export function perplexityNode(call) {
  if (call.param("resource", 0, "chat") !== "chat") throw new NodeError("Only answers to messages are supported");
  const auth = authOf("perplexityApi");
  const requests = call.items.map((_, index) => {
    const body = JSON.stringify(bodyOf(call, index));
    return { method: "POST", url: URL, headers: HEADERS, body, auth, seconds: 60 };
  });
  // The requests of all items are sent, even if the first one fails.
  const responses = call.send(requests);
  return [forEachItem(call, (index) => answerOf(call, index, responses[index]), { isPaired: false })];
}

function bodyOf(call, index) {
  const options = call.param("options", index, {});
  const list = call.param("messages", index, { message: [{}] }).message;
  const messages = list?.map((one) => ({ content: "content" in one ? one.content : "", role: one.role ?? "user" }));
  const body = { model: call.param("model", index, "sonar"), messages };
  const isLater = call.version >= 2;
  for (const [name, field] of Object.entries({ ...FIRST_OPTIONS, ...(isLater ? LATER_OPTIONS : {}) }))
    if (name in options) body[field] = options[name];
  for (const [name, field] of Object.entries({ ...FIRST_LISTS, ...(isLater ? LATER_LISTS : {}) }))
    if (typeof options[name] === "string") body[field] = options[name].split(",").map((part) => part.trim());
  for (const [name, field] of Object.entries(isLater ? LATER_JSON : {}))
    // A text that is no JSON is left out, as in n8n.
    if (options[name]) body[field] = jsonOf({ text: options[name] });
  return body;
}

function answerOf(call, index, response) {
  try {
    requireSuccess(response);
  } catch (error) {
    throw error instanceof HttpError && !response.error ? new NodeError(reasonOf(response)) : error;
  }
  const answer = jsonOf(response) ?? response.text;
  if (call.param("simplify", index, false) !== true) return [answer];
  const { id, created, citations, choices } = answer ?? {};
  const message = choices?.[0]?.message?.content;
  return Object.fromEntries(
    Object.entries({ id, created, citations, message }).filter(([, value]) => value !== undefined),
  );
}

function reasonOf(response) {
  const { error, detail } = jsonOf(response) ?? {};
  if (error?.type === "invalid_model") return "Invalid model";
  const reason = [error?.message, detail].find((text) => typeof text === "string");
  return `${reason ?? statusText(response)}.`;
}
