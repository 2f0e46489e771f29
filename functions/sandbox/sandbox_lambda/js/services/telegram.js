// Telegram. Each operation is a method of the bot API, and the parameters are its fields.

import { NodeError } from "../errors.js";
import { authOf, exchange, fileOfResponse, jsonOf, multipart, requireSuccess } from "../requests.js";
import { defined, fileOfItem, forEachItem, requireParameters } from "./items.js";

const API = "https://api.telegram.org";
const FILES = {
  sendAnimation: "animation",
  sendAudio: "audio",
  sendDocument: "document",
  sendPhoto: "photo",
  sendSticker: "sticker",
  sendVideo: "video",
};
const CHAT_METHODS = {
  administrators: "getChatAdministrators",
  get: "getChat",
  leave: "leaveChat",
  member: "getChatMember",
  setDescription: "setChatDescription",
  setTitle: "setChatTitle",
};

export function telegramNode(call) {
  const describe = ({ response }) => jsonOf(response)?.description ?? response.error ?? "";
  const resource = call.param("resource", 0, "message");
  if (resource === "file") return [files(call)];
  const work = { message, callback, chat }[resource];
  if (resource === "message") requireParameters(call, requiredFor(call));
  if (!work) throw new NodeError(`The resource '${resource}' is not supported`);
  return [forEachItem(call, (index) => work(call, index), { describe })];
}

/** Return what a message needs before anything is sent. */
function requiredFor(call) {
  const isInline = call.param("messageType", 0, "message") === "inlineMessage";
  const isText = ["sendMessage", "editMessageText"].includes(call.param("operation", 0, "sendMessage"));
  return [
    ...(isInline ? [] : [{ name: "chatId", label: "Chat ID" }]),
    ...(isText ? [{ name: "text", label: "Text" }] : []),
  ];
}

function send(call, method, body) {
  const url = `${API}/bot{secret}/${method}`;
  const answer = exchange(call, { method: "POST", url, body: defined(body), credentials: "telegramApi" });
  return Array.isArray(answer?.result) && method === "getChatAdministrators" ? answer.result : answer;
}

function message(call, index) {
  const operation = call.param("operation", index, "sendMessage");
  const param = (name, otherwise) => call.param(name, index, otherwise);
  const extra = param("additionalFields", {});
  const where =
    param("messageType", "message") === "inlineMessage"
      ? { inline_message_id: param("inlineMessageId") }
      : { chat_id: param("chatId"), message_id: param("messageId") };
  const markup = { reply_markup: markupOf(call, index) };
  const { appendAttribution, protect_content, fileName, ...fields } = extra;
  const more = { ...fields, ...markup };
  if (operation in FILES) {
    if (call.param("binaryData", 0, false) === true)
      return sendFile(call, index, operation, extra, markup.reply_markup);
    return send(call, operation, { chat_id: param("chatId"), [FILES[operation]]: param("file"), ...more });
  }
  switch (operation) {
    case "sendMessage":
      return send(call, operation, {
        chat_id: param("chatId"),
        text: textOf(call, index, appendAttribution),
        ...(call.version < 1.1 && Object.keys(extra).length > 0 && appendAttribution === undefined
          ? {}
          : { disable_web_page_preview: true }),
        ...more,
        parse_mode: extra.parse_mode ?? "Markdown",
      });
    case "editMessageText":
      return send(call, operation, { ...where, text: param("text"), ...more });
    case "deleteMessage":
    case "unpinChatMessage":
      return send(call, operation, { chat_id: param("chatId"), message_id: param("messageId") });
    case "pinChatMessage":
      return send(call, operation, { chat_id: param("chatId"), message_id: param("messageId"), ...fields });
    case "sendChatAction":
      return send(call, operation, { chat_id: param("chatId"), action: param("action", "typing") });
    case "sendLocation":
      return send(call, operation, {
        chat_id: param("chatId"),
        latitude: param("latitude", 0),
        longitude: param("longitude", 0),
        ...more,
      });
    case "sendMediaGroup":
      return send(call, operation, {
        chat_id: param("chatId"),
        media: mediaOf(param("media", {}).media ?? []),
        ...fields,
      });
    default:
      throw new NodeError(`The operation '${operation}' is not supported`);
  }
}

const NAMELESS = (operation) =>
  `File name is needed to ${operation}. Make sure the property that holds the binary data
						has the file name property set or set it manually in the node using the File Name parameter under
						Additional Fields.`;

function sendFile(call, index, operation, { appendAttribution, protect_content, ...fields }, markup) {
  const file = fileOfItem(call, index, call.param("binaryPropertyName", index, "data"));
  const fileName = fields.fileName || file.fileName;
  if (!fileName) throw new NodeError(NAMELESS(operation));
  const values = { chat_id: call.param("chatId", index), disable_notification: false, ...fields };
  if (markup !== undefined) values.reply_markup = JSON.stringify(markup);
  const parts = Object.entries(values).map(([name, value]) => ({ name, value: String(value) }));
  const content = multipart([...parts, { name: FILES[operation], file: { ...file, fileName } }]);
  return exchange(call, {
    method: "POST",
    url: `${API}/bot{secret}/${operation}`,
    content,
    credentials: "telegramApi",
  });
}

const mediaOf = (list) =>
  list.map(({ type = "photo", media = "", additionalFields = {} }) => ({ type, media, ...additionalFields }));

/** Return a message's text. Where n8n adds a line about itself, a number becomes a text. */
function textOf(call, index, appendAttribution) {
  const text = call.param("text", index);
  return text === undefined || appendAttribution === false || call.version < 1.1 ? text : String(text);
}

function markupOf(call, index) {
  const kind = call.param("replyMarkup", index, "none");
  if (kind === "forceReply" || kind === "replyKeyboardRemove") return call.param(kind, index, {});
  if (kind !== "inlineKeyboard" && kind !== "replyKeyboard") return undefined;
  const rows = (call.param(kind, index, {}).rows ?? []).map(({ row }) =>
    (row?.buttons ?? []).map(({ text, additionalFields = {} }) => ({ text, ...additionalFields })),
  );
  return kind === "inlineKeyboard"
    ? { inline_keyboard: rows }
    : { keyboard: rows, ...call.param("replyKeyboardOptions", index, {}) };
}

function callback(call, index) {
  const isInline = call.param("operation", index, "answerQuery") === "answerInlineQuery";
  const id = call.param("queryId", index);
  const extra = call.param("additionalFields", index, {});
  return isInline
    ? send(call, "answerInlineQuery", { inline_query_id: id, results: call.param("results", index), ...extra })
    : send(call, "answerCallbackQuery", { callback_query_id: id, ...extra });
}

function chat(call, index) {
  const operation = call.param("operation", index, "get");
  if (!CHAT_METHODS[operation]) throw new NodeError(`The operation '${operation}' is not supported`);
  return send(call, CHAT_METHODS[operation], {
    chat_id: call.param("chatId", index),
    user_id: call.param("userId", index),
    description: call.param("description", index),
    title: call.param("title", index),
  });
}

/** Return each item's file, as an item has files. */
function files(call) {
  return call.items.flatMap((_, index) => {
    const answer = send(call, "getFile", { file_id: call.param("fileId", index) });
    const item = { json: answer, pairedItem: { item: index } };
    if (call.param("download", index, true) === false) return [item];
    const url = `${API}/file/bot{secret}/${answer.result.file_path}`;
    const [response] = call.send([{ method: "GET", url, headers: {}, auth: authOf("telegramApi") }]);
    requireSuccess(response);
    const { mimeType } = call.param("additionalFields", index, {});
    const file = fileOfResponse(response);
    const fileName = String(answer.result.file_path).split("/").at(-1);
    return [{ ...item, binary: { data: { ...file, mimeType: mimeType ?? file.mimeType, fileName } } }];
  });
}
