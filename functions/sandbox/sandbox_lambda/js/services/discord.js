// Discord: messages and channels by a bot, and messages by a webhook.

import { NodeError } from "../errors.js";
import { encodedUrl, exchange, HttpError, jsonOf } from "../requests.js";
import { defined, forEachItem, idOf, jsonFrom, requireParameters } from "./items.js";

const API = "https://discord.com/api/v10";
const MAX_MESSAGES = 100;
const FLAGS = { SUPPRESS_EMBEDS: 4, SUPPRESS_NOTIFICATIONS: 4096 };
const SHORT = ["id", "channel_id", "author", "content", "timestamp", "type"];
const ID_IN_URL = /discord\.com\/channels\/(?:\d+\/)?(\d+)\/?$/;

const GUILD = { name: "guildId", label: "Server", valid: { what: "Discord Server", id: /^\d{17,}$/ } };
const CHANNEL = {
  name: "channelId",
  label: "Channel",
  valid: { what: "Discord Channel", id: /^\d{17,}$/, url: ID_IN_URL },
};

const OPERATIONS = {
  channel: { create: createChannel, getAll: listChannels },
  message: { send: post, get: getMessage, getAll: listMessages, deleteMessage, react },
};
const DEFAULTS = { channel: "create", message: "send" };

export function discordNode(call) {
  const describe = ({ response }) => jsonOf(response)?.message ?? response.error ?? "";
  try {
    const work = workOf(call);
    return [forEachItem(call, (index) => work(call, index), { describe })];
  } catch (error) {
    // What Discord says about an error is also the message that stops the run.
    throw error instanceof HttpError && describe(error) ? new NodeError(describe(error)) : error;
  }
}

function workOf(call) {
  if (call.version < 2) return postOld;
  const way = call.param("authentication", 0, "botToken");
  if (way === "webhook") return postByWebhook;
  const resource = call.param("resource", 0, "channel");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  const work = OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' of '${resource}' is not supported`);
  const needsChannel = resource === "message" && !isDirect(call, 0);
  requireParameters(call, needsChannel ? [GUILD, CHANNEL] : [GUILD]);
  return way === "oAuth2" ? checked(call, resource, work) : work;
}

/** Send a request of the bot, whose token n8n has in the credentials of both ways to sign in. */
function send(call, method, path, fields) {
  const isOAuth = call.param("authentication", 0, "botToken") === "oAuth2";
  return exchange(call, {
    method,
    url: encodedUrl(`${API}/${path}`),
    credentials: isOAuth ? "discordOAuth2Api-bot" : "discordBotApi",
    ...fields,
  });
}

/** Return work that fails if the user who signed in is no member of the server that an item is about. */
function checked(call, resource, work) {
  const guilds = exchange(call, { url: `${API}/users/@me/guilds`, credentials: "discordOAuth2Api" });
  const requireMember = (guild, what, id) => {
    if (!guilds.some((one) => one.id === guild))
      throw new NodeError(`You do not have access to the ${what} with the id ${id}`);
  };
  return (_, index) => {
    const guild = guildOf(call, index);
    requireMember(guild, "guild", guild);
    if (resource === "message" && !isDirect(call, index)) {
      const channel = channelOf(call, index);
      requireMember(send(call, "GET", `channels/${channel}`).guild_id, "channel", channel);
    }
    return work(call, index);
  };
}

const guildOf = (call, index) => idOf(call, "guildId", index, ID_IN_URL);
const channelOf = (call, index) => idOf(call, "channelId", index, ID_IN_URL);
const isDirect = (call, index) => call.param("sendTo", index, "channel") === "user";
const messagePath = (call, index) =>
  `channels/${channelOf(call, index)}/messages/${call.param("messageId", index, "")}`;

/** Return the fields of a message that the node writes. */
function contentOf(call, index) {
  if ((call.param("files", index, {}).values ?? []).length > 0) throw new NodeError("Files of items cannot be sent");
  const { flags = [], message_reference, wait, ...options } = call.param("options", index, {});
  const embeds = (call.param("embeds", index, {}).values ?? []).map(embedOf);
  return defined({
    content: call.param("content", index, ""),
    ...options,
    flags: flags.length > 0 ? flags.reduce((sum, flag) => sum | (FLAGS[flag] ?? 0), 0) : undefined,
    message_reference: message_reference
      ? { message_id: message_reference, guild_id: guildOf(call, index) || undefined }
      : undefined,
    embeds: embeds.length > 0 ? embeds : undefined,
  });
}

function embedOf({ inputMethod = "fields", json, ...fields }) {
  if (inputMethod === "json") return parsed(json);
  const filled = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
  const { author, color, image, thumbnail, video, ...rest } = filled;
  const linked = (url) => (url === undefined ? undefined : { url });
  return defined({
    ...rest,
    author: author === undefined ? undefined : { name: author },
    color: typeof color === "string" ? Number.parseInt(color.replace("#", ""), 16) : color,
    image: linked(image),
    thumbnail: linked(thumbnail),
    video: linked(video),
  });
}

const parsed = (json) => jsonFrom(json, "The JSON of an embed is not valid");

// Discord answers some requests with nothing.
const SUCCESS = { success: true };

function post(call, index) {
  const channel = isDirect(call, index) ? directChannel(call, index) : channelOf(call, index);
  return send(call, "POST", `channels/${channel}/messages`, { body: contentOf(call, index) });
}

function directChannel(call, index) {
  const body = { recipient_id: idOf(call, "userId", index) };
  return send(call, "POST", "users/@me/channels", { body }).id;
}

function postByWebhook(call, index) {
  const { wait } = call.param("options", index, {});
  const answer = exchange(call, {
    method: "POST",
    url: "https://discord.com/api/webhooks/{secret}",
    query: wait ? { wait } : {},
    body: contentOf(call, index),
    credentials: "discordWebhookApi",
  });
  return answer || SUCCESS;
}

/** Send the text of version 1, which has the webhook's URL as a parameter. */
function postOld(call, index) {
  if (Object.keys(call.param("options", index, {})).length > 0)
    throw new NodeError("The options of version 1 are not supported");
  const body = { content: call.param("text", index, "") };
  return exchange(call, { method: "POST", url: call.param("webhookUri", index, ""), body }) || SUCCESS;
}

function shown(call, index, messages) {
  if (call.param("options", index, {}).simplify !== true) return messages;
  return messages.map((message) => defined(Object.fromEntries(SHORT.map((name) => [name, message[name]]))));
}

function getMessage(call, index) {
  return shown(call, index, [send(call, "GET", messagePath(call, index))]);
}

/** Return the messages of a channel, the newest first. All have been read when there are none before the last. */
function listMessages(call, index) {
  const path = `channels/${channelOf(call, index)}/messages`;
  const all = call.param("returnAll", index, false) === true;
  const wanted = all ? Infinity : call.param("limit", index, 100);
  const found = [];
  while (found.length < wanted) {
    const limit = Math.min(MAX_MESSAGES, wanted - found.length);
    const page = send(call, "GET", path, { query: defined({ limit, before: found.at(-1)?.id }) });
    found.push(...page);
    if (page.length === 0 || (!all && page.length < limit)) break;
  }
  return shown(call, index, found);
}

function deleteMessage(call, index) {
  return send(call, "DELETE", messagePath(call, index)) || SUCCESS;
}

function react(call, index) {
  const emoji = encodeURIComponent(call.param("emoji", index, ""));
  return send(call, "PUT", `${messagePath(call, index)}/reactions/${emoji}/@me`) || SUCCESS;
}

function createChannel(call, index) {
  const { categoryId, ...options } = call.param("options", index, {});
  const category = typeof categoryId === "object" ? categoryId?.value : categoryId;
  const body = defined({
    name: call.param("name", index, ""),
    type: call.param("type", index, "0"),
    ...options,
    parent_id: category || undefined,
  });
  return send(call, "POST", `guilds/${guildOf(call, index)}/channels`, { body });
}

function listChannels(call, index) {
  const channels = send(call, "GET", `guilds/${guildOf(call, index)}/channels`);
  const { filter } = call.param("options", index, {});
  const kinds = (filter ?? []).map(Number);
  const chosen = kinds.length > 0 ? channels.filter(({ type }) => kinds.includes(type)) : channels;
  return call.param("returnAll", index, false) === true ? chosen : chosen.slice(0, call.param("limit", index, 100));
}
