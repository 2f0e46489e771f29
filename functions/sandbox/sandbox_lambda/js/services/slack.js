// Slack: messages, channels, users and reactions.

import { DateTime } from "../dates.js";
import { NodeError } from "../errors.js";
import { exchange } from "../requests.js";
import { defined, forEachItem, idOf, jsonFrom, requireParameters } from "./items.js";

const API = "https://slack.com/api";
const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

const OPERATIONS = {
  message: { post, update, delete: deleteMessage },
  channel: { create: createChannel, get: getChannel, getAll: listChannels, history, member: listMembers, replies },
  user: { info: getUser, getAll: listUsers },
  reaction: { add: (call, index) => react(call, index, "add"), remove: (call, index) => react(call, index, "remove") },
};
const TARGETS = { channel: { name: "channelId", label: "Channel" }, user: { name: "user", label: "User" } };
const DEFAULTS = { message: "post", channel: "create", user: "info", reaction: "add" };

export function slackNode(call) {
  const resource = call.param("resource", 0, "message");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  const work = OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' of '${resource}' is not supported`);
  if (work === post && call.version >= 2) requireParameters(call, requiredFor(call));
  return [forEachItem(call, (index) => work(call, index), { isPaired: false })];
}

/** Return what a message needs before anything is sent. */
function requiredFor(call) {
  const select = call.param("select", 0, "");
  const target = TARGETS[select] ?? { name: "select", label: "Send Message To" };
  const isText = call.param("messageType", 0, "text") === "text";
  return isText ? [target, { name: "text", label: "Message Text" }] : [target];
}

/** Call a method. Slack answers errors with status 200. */
function send(call, method, path, { query, body } = {}) {
  const credentials = call.param("authentication", 0, "accessToken") === "oAuth2" ? "slackOAuth2Api" : "slackApi";
  const answer = exchange(call, { method, url: `${API}/${path}`, query, body, headers: JSON_TYPE, credentials });
  if (answer.ok === false) {
    if (answer.error === "missing_scope") throw new NodeError("Your Slack credential is missing required Oauth Scopes");
    throw new NodeError(`Slack error response: ${JSON.stringify(answer.error)}`);
  }
  return answer;
}

/** As in n8n, the time of a message has a name of its own. */
function withTimestamp({ ts, ...answer }) {
  return ts === undefined ? answer : { ...answer, message_timestamp: ts };
}

const channelOf = (call, index) =>
  call.version < 2 ? call.param("channel", index, "") : idOf(call, "channelId", index);

function targetOf(call, index) {
  if (call.version < 2) return call.param("channel", index, "");
  if (call.param("select", index, "") !== "user") return idOf(call, "channelId", index);
  const { value, mode } = call.param("user", index, {});
  return mode === "username" && !String(value).startsWith("@") ? `@${value}` : value;
}

function post(call, index) {
  const { thread_ts: thread, botProfile, ...options } = call.param("otherOptions", index, {});
  const { thread_ts, reply_broadcast = false } = thread?.replyValues ?? {};
  const { icon_emoji, icon_url } = botProfile?.imageValues ?? {};
  const body = defined({
    ...contentOf(call, index),
    channel: targetOf(call, index),
    username: options.sendAsUser,
    ...(thread_ts === undefined ? {} : { thread_ts: String(thread_ts), reply_broadcast }),
    icon_emoji,
    icon_url,
    ...options,
  });
  return withTimestamp(send(call, "POST", "chat.postMessage", { body }));
}

function contentOf(call, index) {
  const kind = call.param("messageType", index, "text");
  const text = call.param("text", index);
  if (kind === "block") return { ...blocksOf(call.param("blocksUi", index, "")), text: text || undefined };
  // Where n8n adds a line about itself, a number becomes a text.
  if (kind !== "attachment") return { text: call.version < 2.1 || text === undefined ? text : String(text) };
  const attachments = (call.param("attachments", index, []) ?? []).map(({ fields, ...one }) => ({
    ...one,
    ...(fields?.item ? { fields: fields.item } : {}),
  }));
  return { attachments };
}

const blocksOf = (raw) => jsonFrom(raw, "Parameter 'blocksUi' could not be parsed");

function update(call, index) {
  const body = defined({
    channel: channelOf(call, index),
    ts: timeOf(call.param("ts", index)),
    text: call.param("text", index),
    ...call.param("updateFields", index, {}),
  });
  return withTimestamp(send(call, "POST", "chat.update", { body }));
}

const timeOf = (value) => (value === undefined ? undefined : String(value));

function deleteMessage(call, index) {
  const body = { channel: channelOf(call, index), ts: timeOf(call.param("timestamp", index)) };
  return withTimestamp(send(call, "POST", "chat.delete", { body }));
}

function react(call, index, what) {
  const body = {
    channel: channelOf(call, index),
    name: call.param("name", index),
    timestamp: timeOf(call.param("timestamp", index)),
  };
  return send(call, "POST", `reactions.${what}`, { body });
}

/** Return what lies in `field` of all pages, or of as many as the node wants. */
function list(call, index, path, field, query, usual) {
  if (call.param("returnAll", index, false) !== true) {
    const limit = call.param("limit", index, usual);
    return send(call, "GET", path, { query: { ...query, limit } })[field].slice(0, limit);
  }
  const found = [];
  let cursor;
  do {
    const page = send(call, "GET", path, { query: defined({ ...query, page: 1, limit: 100, cursor }) });
    found.push(...page[field]);
    cursor = page.response_metadata?.next_cursor || undefined;
  } while (cursor);
  return found;
}

const seconds = (value) => (value === undefined ? undefined : DateTime.fromISO(String(value)).toSeconds());

function history(call, index) {
  const { oldest, latest, inclusive } = call.param("filters", index, {});
  const query = { channel: channelOf(call, index), oldest: seconds(oldest), latest: seconds(latest), inclusive };
  return list(call, index, "conversations.history", "messages", defined(query), 100);
}

function replies(call, index) {
  const query = { channel: channelOf(call, index), ts: timeOf(call.param("ts", index)) };
  return list(call, index, "conversations.replies", "messages", query, 50);
}

function listChannels(call, index) {
  const { types, excludeArchived } = call.param("filters", index, {});
  const query = defined({ types: types?.join(","), exclude_archived: excludeArchived });
  return list(call, index, "conversations.list", "channels", query, 50);
}

function listMembers(call, index) {
  const query = { channel: channelOf(call, index) };
  return list(call, index, "conversations.members", "members", query, 100).map((member) => ({ member }));
}

function getChannel(call, index) {
  return send(call, "POST", "conversations.info", { query: { channel: channelOf(call, index) } }).channel;
}

function createChannel(call, index) {
  const body = { name: channelOf(call, index), is_private: call.param("channelVisibility", index) === "private" };
  return send(call, "POST", "conversations.create", { body }).channel;
}

function getUser(call, index) {
  return send(call, "GET", "users.info", { query: { user: idOf(call, "user", index) } }).user;
}

function listUsers(call, index) {
  return list(call, index, "users.list", "members", {}, 50);
}
