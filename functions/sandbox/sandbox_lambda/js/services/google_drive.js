// Google Drive, version 3: files and folders. What reads and writes contents is in google_drive_contents.js.

import { NodeError } from "../errors.js";
import {
  ANYWHERE,
  API,
  FOLDER,
  FOLDER_URL,
  HOST,
  contentOptions,
  fieldsOf,
  fileOf,
  fileUrl,
  folderOf,
  located,
  parentOf,
  propertiesOf,
  send,
} from "./google_drive_api.js";
import { createFromText, download, fileOfItem, upload } from "./google_drive_contents.js";
import { defined, forEachItem } from "./items.js";

const OPERATIONS = {
  file: { upload, copy, createFromText, deleteFile, move, share: shareFile, update },
  fileFolder: { search },
  folder: { create: createFolder, deleteFolder, share: shareFolder },
  drive: { list: listDrives },
};
const DEFAULTS = { file: "upload", fileFolder: "search", folder: "create", drive: "create" };

export function googleDriveNode(call) {
  const resource = call.param("resource", 0, "file");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  if (call.version >= 3 && resource === "file" && operation === "download") return [download(call)];
  const work = call.version < 3 ? undefined : OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' is not supported`);
  return [forEachItem(call, (index) => work(call, index), { isPaired: false })];
}

// ---- Files ----

function copy(call, index) {
  const id = fileOf(call, index);
  const { copyRequiresWriterPermission = false, description } = call.param("options", index, {});
  const parents = call.param("sameFolder", index, true) === false ? [parentOf(call, index)] : [];
  const name = call.param("name", index) || `Copy of ${nameOf(call, index, id)}`;
  const body = { copyRequiresWriterPermission, parents, name, ...defined({ description }) };
  return send(call, { method: "POST", url: `${fileUrl(id)}/copy`, query: ANYWHERE, body });
}

function nameOf(call, index, id) {
  const { mode, cachedResultName } = call.param("fileId", index);
  if (mode === "list" && cachedResultName) return cachedResultName;
  return send(call, { url: fileUrl(id), query: { fields: "name", supportsAllDrives: true } }).name;
}

function move(call, index) {
  const url = fileUrl(fileOf(call, index));
  const addParents = parentOf(call, index);
  const { parents = [] } = send(call, { url, query: { ...ANYWHERE, fields: "parents" } });
  return send(call, { method: "PATCH", url, query: { ...ANYWHERE, addParents, removeParents: parents.join(",") } });
}

function update(call, index) {
  const url = fileUrl(fileOf(call, index));
  if (call.param("changeFileContent", index, false) === true) {
    fileOfItem(call, index);
    throw new NodeError("The operation 'update' of a file's content is not supported");
  }
  const { fields, trashed, ...options } = call.param("options", index, {});
  const query = { supportsAllDrives: true, ...(fields?.length ? { fields: fieldsOf(fields) } : {}) };
  const body = defined({ name: call.param("newUpdatedFileName", index) || undefined, ...propertiesOf(options) });
  const request = { method: "PATCH", url, query: { ...query, trashed, ...contentOptions(options) } };
  return send(call, Object.keys(body).length > 0 ? { ...request, body } : request);
}

function deleteFile(call, index) {
  const id = fileOf(call, index);
  remove(call, index, id);
  return { id, success: true };
}

/** Put a file or a folder into the bin, or delete it. */
function remove(call, index, id) {
  const isForever = call.param("options", index, {}).deletePermanently === true;
  const change = isForever ? { method: "DELETE" } : { method: "PATCH", body: { trashed: true } };
  send(call, { ...change, url: fileUrl(id), query: { supportsAllDrives: true } });
}

function shareFile(call, index) {
  return share(call, index, fileOf(call, index));
}

function share(call, index, id) {
  const { permissionsValues = {} } = call.param("permissionsUi", index, {});
  const { role, type, emailAddress, domain, allowFileDiscovery = false } = permissionsValues;
  const body = defined({
    role,
    type,
    emailAddress: type === "user" || type === "group" ? emailAddress : undefined,
    domain: type === "domain" ? domain : undefined,
    allowFileDiscovery: type === "anyone" || type === "domain" ? allowFileDiscovery : undefined,
  });
  const options = Object.entries(call.param("options", index, {})).sort(([a], [b]) => (a < b ? -1 : 1));
  const query = { supportsAllDrives: true, ...Object.fromEntries(options) };
  return send(call, { method: "POST", url: `${fileUrl(id)}/permissions`, query, body });
}

// ---- Folders ----

function createFolder(call, index) {
  const { folderColorRgb, simplifyOutput = true } = call.param("options", index, {});
  const name = call.param("name", index) || "Untitled";
  const body = defined({ name, mimeType: FOLDER, parents: [parentOf(call, index)], folderColorRgb });
  const query = { ...(simplifyOutput ? {} : { fields: "*" }), ...ANYWHERE };
  return send(call, { method: "POST", url: API, query, body });
}

function deleteFolder(call, index) {
  const fileId = folderOf(call, index);
  remove(call, index, fileId);
  return { fileId, success: true };
}

function shareFolder(call, index) {
  return share(call, index, folderOf(call, index));
}

// ---- Searching ----

function search(call, index) {
  const { fields = ["id", "name"] } = call.param("options", index, {});
  const filter = call.param("filter", index, {});
  const drive = located(filter.driveId, "Drive", FOLDER_URL);
  const folder = located(filter.folderId, "Folder", FOLDER_URL);
  const text = String(call.param("queryString", index) ?? "");
  const isName = call.param("searchMethod", index, "name") === "name";
  const conditions = [
    isName ? `name contains '${text.replace(/[\\']/g, "\\$&")}'` : text,
    folder && `'${folder}' in parents`,
    ...kindsOf(filter),
    // A search that filters nothing also finds what is in the bin.
    Object.keys(filter).length > 0 && filter.includeTrashed !== true && "trashed = false",
  ].filter(Boolean);
  const query = { fields: `nextPageToken, files(${fieldsOf(fields)})`, q: conditions.join(" and "), ...rangeOf(drive) };
  return pagesOf(call, index, API, "files", query);
}

/** Return the conditions for what is found: files, of some types, or folders. */
function kindsOf({ whatToSearch = "all", fileTypes = [] }) {
  if (whatToSearch === "folders") return [`mimeType = '${FOLDER}'`];
  if (whatToSearch !== "files") return [];
  const types = fileTypes.includes("*") ? [] : fileTypes.map((type) => `mimeType = '${type}'`);
  return [`mimeType != '${FOLDER}'`, types.length > 0 && `(${types.join(" or ")})`];
}

function rangeOf(drive) {
  if (!drive) return ANYWHERE;
  if (drive === "My Drive")
    return { ...ANYWHERE, includeItemsFromAllDrives: false, supportsAllDrives: false, corpora: "user" };
  return { ...ANYWHERE, corpora: "drive", driveId: drive };
}

function listDrives(call, index) {
  const { q, useDomainAdminAccess } = call.param("options", index, {});
  return pagesOf(call, index, `${HOST}/drive/v3/drives`, "drives", { q, useDomainAdminAccess });
}

/** Return what lies in `field` of all pages, or as many as the node wants. */
function pagesOf(call, index, url, field, query) {
  if (call.param("returnAll", index, false) !== true) {
    const limit = call.param("limit", index, 50);
    return (send(call, { url, query: { ...query, pageSize: limit } })[field] ?? []).slice(0, limit);
  }
  const found = [];
  let pageToken;
  do {
    const page = send(call, { url, query: { ...query, maxResults: 100, pageSize: 100, pageToken } });
    found.push(...(page[field] ?? []));
    pageToken = page.nextPageToken;
  } while (pageToken);
  return found;
}
