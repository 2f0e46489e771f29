// Google Drive: what writes and reads the contents of files.

import { NodeError } from "../errors.js";
import { authOf, fileOfResponse, requireSuccess } from "../requests.js";
import {
  ANYWHERE,
  API,
  HOST,
  contentOptions,
  credentialsOf,
  fileOf,
  fileUrl,
  parentOf,
  propertiesOf,
  send,
} from "./google_drive_api.js";
import { forEachItem } from "./items.js";

const DOCUMENT = "application/vnd.google-apps.document";

// Google's own formats, and what they become if the node does not say it.
const EXPORTS = {
  document: ["docsToFormat", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
  presentation: ["slidesToFormat", "application/vnd.openxmlformats-officedocument.presentationml.presentation"],
  spreadsheet: ["sheetsToFormat", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
  drawing: ["drawingsToFormat", "image/jpeg"],
};

export function createFromText(call, index) {
  const options = call.param("options", index, {});
  const name = call.param("name", index) || "Untitled";
  const content = String(call.param("content", index) ?? "");
  const parent = parentOf(call, index);
  const metadata = { name, parents: [parent], ...propertiesOf(options) };
  if (options.convertToGoogleDocument === true) {
    const query = { ...ANYWHERE, ...contentOptions(options) };
    const { id } = send(call, { method: "POST", url: API, query, body: { ...metadata, mimeType: DOCUMENT } });
    const insertText = { text: content, endOfSegmentLocation: { segmentId: "" } };
    const url = `https://docs.googleapis.com/v1/documents/${id}:batchUpdate`;
    send(call, { method: "POST", url, body: { requests: [{ insertText }] } });
    return { id };
  }
  const file = { data: btoa(latin1(content)), mimeType: "text/plain" };
  return { id: uploaded(call, file, metadata, contentOptions(options)).id };
}

export function upload(call, index) {
  const options = call.param("options", index, {});
  const file = fileOfItem(call, index);
  const name = call.param("name", index) || file.fileName || "Untitled";
  const metadata = { name, parents: [parentOf(call, index)], ...propertiesOf(options) };
  const query = { fields: options.simplifyOutput === false ? "*" : undefined, ...contentOptions(options) };
  return uploaded(call, file, metadata, query);
}

/** Upload a file, and return what Drive then has: as in n8n, the metadata is written once more. */
function uploaded(call, { data, mimeType }, { parents, ...metadata }, query) {
  const boundary = `${"-".repeat(26)}${Math.random().toString(16).slice(2, 14)}${Math.random().toString(16).slice(2, 14)}`;
  const parts = [
    ["metadata", "application/json", latin1(JSON.stringify({ ...metadata, parents, mimeType }))],
    ["data", mimeType, atob(data)],
  ].map(
    ([name, type, content]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\nContent-Type: ${type}\r\n\r\n${content}\r\n`,
  );
  const [response] = call.send([
    {
      method: "POST",
      url: `${HOST}/upload/drive/v3/files?uploadType=multipart&supportsAllDrives=true`,
      headers: { accept: "application/json", "content-type": `multipart/related; boundary=${boundary}` },
      body: { base64: btoa(`${parts.join("")}--${boundary}--\r\n`) },
      auth: authOf(credentialsOf(call)),
    },
  ]);
  requireSuccess(response);
  const { id } = JSON.parse(response.text);
  return send(call, {
    method: "PATCH",
    url: fileUrl(id),
    query: { ...ANYWHERE, addParents: parents[0], ...query },
    body: { ...metadata, mimeType },
  });
}

const latin1 = (text) => unescape(encodeURIComponent(text));

/** Return the item's file that the node names. */
export function fileOfItem(call, index) {
  const field = call.param("inputDataFieldName", index, "data");
  const file = call.items[index].binary?.[field];
  if (!file)
    throw new NodeError(
      `This operation expects the node's input data to contain a binary file '${field}', but none was found [item ${index}]`,
    );
  return file;
}

/** Return the items, each with its file. */
export function download(call) {
  const files = {};
  const read = (index) => {
    files[index] = fileOfDrive(call, index);
    return call.items[index].json;
  };
  return forEachItem(call, read, { isPaired: false }).map((item) => {
    const index = item.pairedItem?.item;
    return index === undefined ? item : { ...item, binary: { ...call.items[index].binary, ...files[index] } };
  });
}

/** Return a file, by the name of the field that it goes to. */
function fileOfDrive(call, index) {
  const { binaryPropertyName = "data", fileName, googleFileConversion } = call.param("options", index, {});
  const url = fileUrl(fileOf(call, index));
  const query = { fields: "mimeType,name", supportsTeamDrives: true, supportsAllDrives: true };
  const { mimeType = "", name } = send(call, { url, query });
  const [, kind] = /^application\/vnd\.google-apps\.(\w+)/.exec(mimeType) ?? [];
  const [option, usual] = EXPORTS[kind] ?? EXPORTS.drawing;
  const format = encodeURIComponent(googleFileConversion?.conversion?.[option] ?? usual);
  const place = kind ? `/export?mimeType=${format}` : "?alt=media";
  const [response] = call.send([
    {
      method: "GET",
      url: `${url}${place}&supportsAllDrives=true`,
      headers: { accept: "*/*" },
      auth: authOf(credentialsOf(call)),
    },
  ]);
  requireSuccess(response);
  const file = fileOfResponse(response);
  const called = fileName || name;
  const extension = /\.(\w+)$/.exec(called)?.[1] ?? file.fileExtension;
  return { [binaryPropertyName]: { ...file, fileExtension: extension, fileName: called } };
}
