// Gmail: read messages and threads, and change their labels. Mail is sent by the platform itself, never from here.

import { DateTime } from "../dates.js";
import { NodeError } from "../errors.js";
import { HttpError, exchange } from "../requests.js";
import { itemOfMail, rawMail } from "./gmail_mail.js";
import { fileOfItem, forEachItem, requireParameters } from "./items.js";

const API = "https://www.googleapis.com/gmail/v1/users/me";
const HEADERS = ["From", "To", "Cc", "Bcc", "Subject"];
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

const OPERATIONS = {
  message: {
    get: getMessage,
    getAll: listMessages,
    addLabels: (call, index) => changeLabels(call, index, "messages", "addLabelIds"),
    removeLabels: (call, index) => changeLabels(call, index, "messages", "removeLabelIds"),
    markAsRead: (call, index) => mark(call, index, "removeLabelIds"),
    markAsUnread: (call, index) => mark(call, index, "addLabelIds"),
    delete: (call, index) => remove(call, `messages/${encodeURIComponent(call.param("messageId", index, ""))}`),
  },
  draft: {
    create: createDraft,
    get: getDraft,
    getAll: listDrafts,
    delete: (call, index) => remove(call, `drafts/${encodeURIComponent(call.param("messageId", index, ""))}`),
  },
  label: {
    create: createLabel,
    delete: (call, index) => remove(call, `labels/${encodeURIComponent(call.param("labelId", index, ""))}`),
    get: (call, index) => send(call, "GET", `labels/${encodeURIComponent(call.param("labelId", index, ""))}`),
    getAll: listLabels,
  },
  thread: {
    get: getThread,
    getAll: listThreads,
    addLabels: (call, index) => changeLabels(call, index, "threads", "addLabelIds"),
    removeLabels: (call, index) => changeLabels(call, index, "threads", "removeLabelIds"),
    delete: (call, index) => remove(call, `threads/${encodeURIComponent(call.param("threadId", index, ""))}`),
    trash: (call, index) =>
      send(call, "POST", `threads/${encodeURIComponent(call.param("threadId", index, ""))}/trash`),
    untrash: (call, index) =>
      send(call, "POST", `threads/${encodeURIComponent(call.param("threadId", index, ""))}/untrash`),
  },
};
const MESSAGE = { name: "messageId", label: "Message ID" };
const THREAD = { name: "threadId", label: "Thread ID" };
const LABELS = { name: "labelIds", label: "Label Names or IDs" };
const REQUIRED = {
  message: {
    get: [MESSAGE],
    addLabels: [MESSAGE, LABELS],
    removeLabels: [MESSAGE, LABELS],
    markAsRead: [MESSAGE],
    markAsUnread: [MESSAGE],
    delete: [MESSAGE],
  },
  draft: {
    create: [
      { name: "subject", label: "Subject" },
      { name: "message", label: "Message" },
    ],
    get: [{ name: "messageId", label: "Draft ID" }],
    delete: [{ name: "messageId", label: "Draft ID" }],
  },
  thread: {
    get: [THREAD],
    addLabels: [THREAD, LABELS],
    removeLabels: [THREAD, LABELS],
    delete: [THREAD],
    trash: [THREAD],
    untrash: [THREAD],
  },
};
const DEFAULTS = { message: "send", draft: "create", label: "getAll", thread: "getAll" };

export async function gmailNode(call) {
  const resource = call.param("resource", 0, "message");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  const work = OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' of '${resource}' is not supported`);
  requireParameters(call, REQUIRED[resource]?.[operation] ?? []);
  const items = forEachItem(call, (index) => named(index, () => work(call, index)));
  return [await Promise.all(items.map((item) => whole(call, item)))];
}

/** A mail that is still to be read. */
class Unread {
  constructor(message, prefix, messageId) {
    Object.assign(this, { message, prefix, messageId });
  }
}

async function whole(call, { json, pairedItem }) {
  if (!(json instanceof Unread)) return { json, pairedItem };
  try {
    const item = await itemOfMail(json.message, json.prefix);
    // A draft has the id of its message where a message has the id in its header.
    if (json.messageId) item.json.messageId = json.messageId;
    return { ...item, pairedItem };
  } catch (error) {
    const message = `The mail ${json.message.id} cannot be read: ${error.message}`;
    if (!call.continues) throw new NodeError(message);
    return { json: { error: message }, pairedItem };
  }
}

/** Return how the item's files are named, or undefined if they are not asked for. */
function prefixOf(call, index) {
  const { downloadAttachments, dataPropertyAttachmentsPrefixName } = call.param("options", index, {});
  return downloadAttachments === true ? dataPropertyAttachmentsPrefixName || "attachment_" : undefined;
}

/** As in n8n, an error says which item it is about. */
function named(index, work) {
  try {
    return work();
  } catch (error) {
    if (error instanceof HttpError) error.message += ` (item ${index})`;
    throw error;
  }
}

function send(call, method, path, { query, body } = {}) {
  return exchange(call, { method, url: `${API}/${path}`, query, body, credentials: "gmailOAuth2" });
}

function remove(call, path) {
  send(call, "DELETE", path);
  return { success: true };
}

// ---- Messages ----

const isSimple = (call, index) => call.param("simple", index, true) === true;

const METADATA = { format: "metadata", metadataHeaders: HEADERS };

function getMessage(call, index) {
  const path = `messages/${encodeURIComponent(call.param("messageId", index, ""))}`;
  if (!isSimple(call, index))
    return new Unread(send(call, "GET", path, { query: { format: "raw" } }), prefixOf(call, index));
  const message = send(call, "GET", path, { query: METADATA });
  return simplified(message, labelsOf(call));
}

function listMessages(call, index) {
  const { ids, query } = listed(call, index, "messages");
  const read = (id, format) =>
    send(call, "GET", `messages/${encodeURIComponent(id)}`, { query: { ...query, ...format } });
  if (!isSimple(call, index))
    return ids.map(({ id }) => new Unread(read(id, { format: "raw" }), prefixOf(call, index)));
  const messages = ids.map(({ id }) => read(id, METADATA));
  const labels = labelsOf(call);
  return messages.map((message) => simplified(message, labels));
}

/** Return what a list has, and the query that it was asked with. */
function listed(call, index, what) {
  const query = queryOf(call.param("filters", index, {}));
  if (call.param("returnAll", index, false) !== true) {
    const limited = { ...query, maxResults: call.param("limit", index, 50) };
    return { ids: send(call, "GET", what, { query: limited })[what] ?? [], query: limited };
  }
  const all = { ...query, maxResults: 100 };
  const ids = [];
  let pageToken;
  do {
    const page = send(call, "GET", what, { query: { ...all, pageToken } });
    ids.push(...(page[what] ?? []));
    pageToken = page.nextPageToken;
  } while (pageToken);
  return { ids, query: all };
}

function queryOf({ q, sender, readStatus, receivedAfter, receivedBefore, includeSpamTrash, labelIds }) {
  const parts = [
    q,
    sender && `from:${sender}`,
    ["read", "unread"].includes(readStatus) && `is:${readStatus}`,
    receivedAfter && `after:${secondsOf(receivedAfter)}`,
    receivedBefore && `before:${secondsOf(receivedBefore)}`,
  ].filter(Boolean);
  const empty = Object.entries({ q, sender, receivedAfter, receivedBefore }).filter(([, value]) => value === "");
  return {
    ...Object.fromEntries(empty),
    ...(includeSpamTrash === undefined ? {} : { includeSpamTrash }),
    ...(labelIds?.length ? { labelIds } : {}),
    ...(parts.length > 0 ? { q: parts.join(" ") } : {}),
  };
}

function secondsOf(value) {
  const text = String(value);
  const time = /^\d+$/.test(text)
    ? DateTime.fromMillis(text.length > 10 ? Number(text) : Number(text) * 1000)
    : DateTime.fromISO(text);
  if (!time.isValid) throw new NodeError(`'${text}' isn't a valid date and time`);
  return Math.floor(time.toSeconds());
}

const labelsOf = (call) => send(call, "GET", "labels").labels.map(({ id, name }) => ({ id, name }));

/** Return a message as n8n simplifies it: its headers beside its fields, and its labels with their names. */
function simplified({ labelIds, payload, ...message }, labels) {
  const { headers = [], ...rest } = payload ?? {};
  return {
    ...message,
    ...(message.snippet === undefined ? {} : { snippet: decoded(message.snippet) }),
    payload: rest,
    ...(labelIds ? { labels: labels.filter(({ id }) => labelIds.includes(id)) } : {}),
    ...Object.fromEntries(headers.map(({ name, value }) => [name, value])),
  };
}

const decoded = (text) => text.replace(/&(#?\w+);/g, (entity, name) => ENTITIES[name] ?? entity);

function changeLabels(call, index, what, field) {
  const id = call.param(what === "messages" ? "messageId" : "threadId", index, "");
  return send(call, "POST", `${what}/${encodeURIComponent(id)}/modify`, {
    body: { [field]: call.param("labelIds", index, []) },
  });
}

function mark(call, index, field) {
  return send(call, "POST", `messages/${encodeURIComponent(call.param("messageId", index, ""))}/modify`, {
    body: { [field]: ["UNREAD"] },
  });
}

// ---- Drafts ----

const ADDRESSES = { sendTo: "To", ccList: "Cc", bccList: "Bcc" };

function createDraft(call, index) {
  const options = call.param("options", index, {});
  const { fromAlias, threadId, replyTo, attachmentsUi } = options;
  const fields = fromAlias ? [["From", fromAlias]] : [];
  for (const [name, field] of Object.entries({ ...ADDRESSES, replyTo: "Reply-To" }))
    if (options[name]) fields.push([field, addressesIn(options[name], index)]);
  if (threadId) {
    const query = { format: "metadata", metadataHeaders: "Message-ID" };
    const thread = send(call, "GET", `threads/${encodeURIComponent(threadId)}`, { query });
    const headers = thread.messages?.at(-1)?.payload?.headers ?? [];
    const id = headers.find(({ name }) => name.toLowerCase() === "message-id")?.value;
    if (id) fields.push(["In-Reply-To", id]);
  }
  const subject = call.param("subject", index, "");
  if (subject) fields.push(["Subject", subject]);
  const names = (attachmentsUi?.attachmentsBinary ?? []).flatMap(({ property = "" }) => String(property).split(","));
  const files = names.map((name) => fileOfItem(call, index, name.trim()));
  const text = String(call.param("message", index, "") ?? "");
  const raw = rawMail(fields, { text, isHtml: call.param("emailType", 0, "text") === "html" }, files);
  const query = files.length > 0 ? { userId: "me", uploadType: "media" } : {};
  return send(call, "POST", "drafts", { query, body: { message: { raw, ...(threadId ? { threadId } : {}) } } });
}

function addressesIn(list, index) {
  const addresses = String(list)
    .split(",")
    .map((one) => one.trim());
  if (addresses.every((one) => one.includes("@"))) return addresses.join(", ");
  throw new NodeError(`Invalid email address (item ${index})`);
}

function getDraft(call, index) {
  const path = `drafts/${encodeURIComponent(call.param("messageId", index, ""))}`;
  const draft = send(call, "GET", path, { query: { format: "raw" } });
  return new Unread({ ...draft.message, id: draft.id }, prefixOf(call, index), draft.message.id);
}

function listDrafts(call, index) {
  const options = call.param("options", index, {});
  const isAll = call.param("returnAll", index, false) === true;
  const query = { ...options, maxResults: isAll ? 100 : call.param("limit", index, 50) };
  const drafts = [];
  let pageToken;
  do {
    const page = send(call, "GET", "drafts", { query: { ...query, pageToken } });
    drafts.push(...(page.drafts ?? []));
    pageToken = isAll ? page.nextPageToken : undefined;
  } while (pageToken);
  return drafts.map(({ id }) => {
    const draft = send(call, "GET", `drafts/${encodeURIComponent(id)}`, { query: { ...query, format: "raw" } });
    return new Unread({ ...draft.message, id: draft.id }, prefixOf(call, index), draft.message.id);
  });
}

// ---- Labels and threads ----

function listLabels(call, index) {
  const { labels } = send(call, "GET", "labels");
  return call.param("returnAll", index, true) === true ? labels : labels.slice(0, call.param("limit", index, 50));
}

function createLabel(call, index) {
  const { labelListVisibility = "labelShow", messageListVisibility = "show" } = call.param("options", index, {});
  const body = { labelListVisibility, messageListVisibility, name: call.param("name", index) };
  return send(call, "POST", "labels", { body });
}

function getThread(call, index) {
  const query = isSimple(call, index) ? METADATA : { format: "full" };
  const thread = send(call, "GET", `threads/${encodeURIComponent(call.param("threadId", index, ""))}`, { query });
  const labels = labelsOf(call);
  const messages = thread.messages.map((message) => simplified(message, labels));
  if (call.param("options", index, {}).returnOnlyMessages === true) return messages;
  // Only messages that stand alone have their snippets decoded.
  const snippets = thread.messages.map(({ snippet }) => snippet);
  return { ...thread, messages: messages.map((message, place) => ({ ...message, snippet: snippets[place] })) };
}

function listThreads(call, index) {
  return listed(call, index, "threads").ids;
}
