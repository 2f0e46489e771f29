// A whole mail of Gmail as n8n shows it, with its files, and a draft as a whole mail.

import { fileOfBytes } from "../nodes/file_types.js";
import { bytesOfBase64, encoded } from "../nodes/encodings.js";
import { convert, encodeNonAsciiHTML, PostalMime } from "../vendor/formats.js";
import { defined, Item } from "./items.js";

/** Return the item of a message whose `raw` is a whole mail. `prefix` names its files, or is undefined without files. */
export async function itemOfMail({ raw, snippet, historyId, internalDate, ...message }, prefix) {
  const source = bytesOfBase64(raw ?? "");
  const bytes = Uint8Array.from(source, (letter) => letter.charCodeAt(0));
  const mail = await PostalMime.parse(bytes, { attachmentEncoding: "arraybuffer" });
  const headers = headersOf(source);
  const hasParts = /^content-type:\s*multipart\//i.test(headers["content-type"] ?? "");
  const json = defined({ ...message, headers, ...bodyOf(mail, hasParts), ...fieldsOf(mail) });
  if (json.html === undefined) json.html = false;
  const files = prefix === undefined ? undefined : filesOf(mail.attachments, prefix);
  return new Item(json, files);
}

/** Return the lines of headers, by their names; of a name that stands twice the last one. */
function headersOf(source) {
  if (/^\r?\n/.test(source)) return { "": "" };
  const end = /\r?\n\r?\n/.exec(source)?.index ?? source.length;
  const lines = source.slice(0, end).split(/\r?\n(?![ \t])/);
  const named = lines.map((line) => [line.split(":")[0].trim().toLowerCase(), utf8(line).replace(/\r?\n/g, "\r\n")]);
  return Object.fromEntries(named);
}

function utf8(letters) {
  try {
    return decodeURIComponent(escape(letters));
  } catch {
    return letters;
  }
}

function bodyOf({ html, text, attachments }, hasParts) {
  const own = (written) => {
    const lines = written?.replace(/\r\n/g, "\n");
    // The line break before the next part is none of the text's.
    return hasParts ? lines?.replace(/\n$/, "") : lines;
  };
  const page = own(html && withImages(html, attachments));
  const plain = own(text) ?? (html && !hasParts ? convert(html, { wordwrap: 80 }) : undefined);
  return { html: page, text: plain, textAsHtml: plain === undefined ? undefined : pageOf(plain) };
}

/** Images that are parts of the mail stand in the page itself. */
function withImages(html, attachments) {
  return html.replace(/\bcid:([^'"\s)>]+)/g, (found, id) => {
    const file = attachments.find(({ contentId }) => contentId === `<${id}>`);
    return file ? `data:${file.mimeType};base64,${btoa(lettersOf(new Uint8Array(file.content)))}` : found;
  });
}

const LINK = /\b((?:https?:\/\/|www\.)[^\s<>"']*[^\s<>"'.,;:!?)\]])|\b((?:mailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+)/g;

// Names of letters that the library writes longer than others do.
const NAMES = {
  CloseCurlyDoubleQuote: "rdquo",
  CloseCurlyQuote: "rsquo",
  OpenCurlyDoubleQuote: "ldquo",
  OpenCurlyQuote: "lsquo",
};

const escaped = (text) =>
  encodeNonAsciiHTML(text).replace(/&(?:#x([\da-f]+)|(\w+));/g, (_, number, name) =>
    number ? `&#x${number.toUpperCase()};` : `&${NAMES[name] ?? name};`,
  );

/** Return a text as HTML: a paragraph for each block, and what is a link as one. */
function pageOf(text) {
  const blocks = text.trim().split(/\n{2,}/);
  const linked = (line) => {
    let page = "";
    let place = 0;
    for (const match of line.matchAll(LINK)) {
      const [found, site, address] = match;
      const target = site ? site.replace(/^www\./, "http://$&") : address.replace(/^(?!mailto:)/, "mailto:");
      page += `${escaped(line.slice(place, match.index))}<a href="${target}">${escaped(found)}</a>`;
      place = match.index + found.length;
    }
    return page + escaped(line.slice(place));
  };
  return blocks.map((block) => `<p>${block.split(/ *\n/).map(linked).join("<br/>")}</p>`).join("");
}

function fieldsOf(mail) {
  const references = mail.references?.split(/\s+/).filter(Boolean) ?? [];
  return {
    subject: mail.subject || undefined,
    references: references.length > 1 ? references : references[0],
    date: dateOf(mail.date),
    to: addressesOf(mail.to),
    from: addressesOf(mail.from && [mail.from]),
    cc: addressesOf(mail.cc),
    bcc: addressesOf(mail.bcc),
    messageId: mail.messageId,
    inReplyTo: mail.inReplyTo,
    replyTo: addressesOf(mail.replyTo),
  };
}

/** A date that cannot be read is now, as in n8n. */
function dateOf(text) {
  if (!text) return undefined;
  const date = new Date(text);
  return (Number.isNaN(date.getTime()) ? new Date() : date).toISOString();
}

/** Return bytes as a text of letters up to \xff, in parts: a call has a limited number of arguments. */
function lettersOf(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += 8_192)
    text += String.fromCharCode(...bytes.subarray(start, start + 8_192));
  return text;
}

const inSpan = (kind, content) => `<span class="mp_address_${kind}">${content}</span>`;
const letters = (text) =>
  text.replace(/[&<>"']|[^\0-\x7e]/gu, (one) => `&#x${one.codePointAt(0).toString(16).toUpperCase()};`);

function addressesOf(list) {
  if (!list?.length) return undefined;
  const value = list.map(({ name = "", address, group }) => (group ? { name, group } : { address, name }));
  return {
    value,
    html: list.map((one) => inSpan("group", pageOfAddress(one))).join(", "),
    text: list.map(textOfAddress).join(", "),
  };
}

function pageOfAddress({ name, address, group }) {
  if (group) return `${inSpan("name", letters(name))}:${group.map(pageOfAddress).join(", ")};`;
  const link = `<a href="mailto:${letters(address)}" class="mp_address_email">${letters(address)}</a>`;
  return name ? `${inSpan("name", letters(name))} &lt;${link}&gt;` : link;
}

function textOfAddress({ name, address, group }) {
  if (group) return `${name}:${group.map(textOfAddress).join(", ")};`;
  return name ? `"${name}" <${address}>` : address;
}

function filesOf(attachments, prefix) {
  const files = attachments.map(({ filename, mimeType, content }) =>
    fileOfBytes(lettersOf(new Uint8Array(content)), { fileName: filename ?? undefined, mimeType }),
  );
  return Object.fromEntries(files.map((file, place) => [`${prefix}${place}`, file]));
}

// ---- Drafts ----

/** Return a mail in the form that Gmail takes: fields are [name, value] of headers, files are those of items. */
export function rawMail(fields, { text, isHtml }, files) {
  const type = `text/${isHtml ? "html" : "plain"}; charset=utf-8`;
  const body = ["Content-Transfer-Encoding: base64", `Content-Type: ${type}`, "", lines(btoa(encoded(text)))];
  const head = [...fields.map(([name, value]) => `${name}: ${headerOf(name, value)}`), "MIME-Version: 1.0"];
  if (files.length === 0) return base64Url([...head, ...body].join("\r\n"));
  const boundary = `----=_${Math.random().toString(36).slice(2)}`;
  const parts = files.map(({ data, mimeType, fileName = "unknown" }) => [
    `Content-Type: ${oneLine(mimeType)}; name="${nameText(fileName)}"`,
    "Content-Transfer-Encoding: base64",
    `Content-Disposition: attachment; filename="${nameText(fileName)}"`,
    "",
    lines(data),
  ]);
  const content = [body, ...parts].flatMap((part) => [`--${boundary}`, ...part]);
  const mixed = `Content-Type: multipart/mixed; boundary="${boundary}"`;
  return base64Url([...head, mixed, "", ...content, `--${boundary}--`, ""].join("\r\n"));
}

const lines = (base64) => base64.replace(/.{76}(?=.)/g, "$&\r\n");

const isAscii = (text) => /^[\x20-\x7e]*$/.test(text);
const encodedWord = (text) => (isAscii(text) ? text : `=?UTF-8?B?${btoa(encoded(text))}?=`);

const nameText = (name) => encodedWord(name.replace(/["\\\r\n]/g, "_"));

/** Line breaks would begin other headers. */
const oneLine = (value) => String(value).replace(/[\r\n]+/g, " ");

const ADDRESSES = ["from", "to", "cc", "bcc", "reply-to"];

function headerOf(name, value) {
  const text = oneLine(value);
  if (isAscii(text) || !ADDRESSES.includes(name.toLowerCase())) return encodedWord(text);
  return text.split(",").map(addressText).join(", ");
}

function addressText(address) {
  const [, name, mailbox] = /^\s*([^]*?)\s*(<[^<>]*>)\s*$/.exec(address) ?? [];
  if (mailbox === undefined || isAscii(name)) return address.trim();
  return `${encodedWord(name.replace(/"/g, ""))} ${mailbox}`;
}

const base64Url = (text) => btoa(encoded(text)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
