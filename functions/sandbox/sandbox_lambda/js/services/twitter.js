// X (Twitter), version 2: posts, searches and users.

import { NodeError } from "../errors.js";
import { encodedUrl, exchange } from "../requests.js";
import { forEachItem, requireParameters } from "./items.js";

const API = "https://api.x.com/2";
const PAGE = 10;

const OPERATIONS = {
  tweet: {
    create,
    delete: remove,
    like: (...of) => mark(...of, "likes"),
    retweet: (...of) => mark(...of, "retweets"),
    search,
  },
  user: { searchUser },
  directMessage: { create: sendMessage },
};
const DEFAULTS = { tweet: "create", user: "searchUser", directMessage: "create" };

export function twitterNode(call) {
  const resource = call.param("resource", 0, "tweet");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  const work = OPERATIONS[resource]?.[operation];
  if (call.version < 2 || !work) throw new NodeError(`The operation '${operation}' of '${resource}' is not supported`);
  const hasText = operation === "create";
  if (hasText) requireParameters(call, [{ name: "text", label: "Text" }]);
  return [forEachItem(call, (index) => work(call, index), { isPaired: false })];
}

const send = (call, method, path, fields) =>
  exchange(call, { method, url: encodedUrl(`${API}/${path}`), credentials: "twitterOAuth2Api", ...fields });

/** Return what is named by its id or by its URL. */
function idIn(place, pattern = /status\/(\d+)/) {
  if (typeof place !== "object" || place === null) return place;
  return place.mode === "url" ? (pattern.exec(String(place.value))?.[1] ?? place.value) : place.value;
}

function create(call, index) {
  const { attachments, location, inQuoteToStatusId, inReplyToStatusId } = call.param("additionalFields", index, {});
  const body = { text: call.param("text", index, "") };
  if (location) body.geo = { place_id: location };
  if (attachments) body.media = { media_ids: [attachments] };
  if (inQuoteToStatusId) body.quote_tweet_id = idIn(inQuoteToStatusId);
  if (inReplyToStatusId) body.reply = { in_reply_to_tweet_id: idIn(inReplyToStatusId) };
  return send(call, "POST", "tweets", { body }).data;
}

function remove(call, index) {
  return send(call, "DELETE", `tweets/${idIn(call.param("tweetDeleteId", index))}`).data;
}

function mark(call, index, what) {
  const { id } = send(call, "GET", "users/me").data;
  return send(call, "POST", `users/${id}/${what}`, { body: { tweet_id: idIn(call.param("tweetId", index)) } }).data;
}

const timeOf = (text) =>
  text ? new Date(/Z|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`).toISOString() : undefined;

function search(call, index) {
  const { sortOrder, startTime, endTime, tweetFieldsObject } = call.param("additionalFields", index, {});
  const query = { query: call.param("searchText", index, "") };
  if (endTime) query.end_time = timeOf(endTime);
  if (sortOrder) query.sort_order = sortOrder;
  if (startTime) query.start_time = timeOf(startTime);
  if (tweetFieldsObject?.length > 0) query["tweet.fields"] = tweetFieldsObject.join(",");
  const path = "tweets/search/recent";
  if (call.param("returnAll", index, false) !== true)
    return send(call, "GET", path, { query: { ...query, max_results: call.param("limit", index, 50) } }).data;
  const found = [];
  let token;
  do {
    const page = send(call, "GET", path, { query: { ...query, max_results: PAGE, next_token: token } });
    found.push(...(page.data ?? []));
    token = page.meta?.next_token;
  } while (token);
  return found;
}

const byName = (name) => `users/by/username/${String(name).replace(/^@/, "")}`;

function searchUser(call, index) {
  if (call.param("me", index, false) === true) return send(call, "GET", "users/me").data;
  const user = call.param("user", index, {});
  const name = typeof user === "object" ? user.value : user;
  return send(call, "GET", user?.mode === "id" ? `users/${name}` : byName(name)).data;
}

function sendMessage(call, index) {
  const user = call.param("user", index, {});
  const id = user?.mode === "id" ? user.value : send(call, "GET", byName(user?.value)).data.id;
  const { attachments } = call.param("additionalFields", index, {});
  const body = {
    text: call.param("text", index, ""),
    ...(attachments ? { attachments: [{ media_id: attachments }] } : {}),
  };
  return send(call, "POST", `dm_conversations/with/${id}/messages`, { body }).data;
}
