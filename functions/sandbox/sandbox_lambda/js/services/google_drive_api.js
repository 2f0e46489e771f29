// What the operations of Google Drive have in common: requests, and what parameters name.

import { NodeError } from "../errors.js";
import { exchange } from "../requests.js";
import { defined } from "./items.js";

export const HOST = "https://www.googleapis.com";
export const API = `${HOST}/drive/v3/files`;
export const FOLDER = "application/vnd.google-apps.folder";
const CREDENTIALS = { oAuth2: "googleDriveOAuth2Api", serviceAccount: "googleApi" };

// What a request says so that it sees the files of all drives.
export const ANYWHERE = {
  includeItemsFromAllDrives: true,
  supportsAllDrives: true,
  spaces: "appDataFolder, drive",
  corpora: "allDrives",
};

export const credentialsOf = (call) => CREDENTIALS[call.param("authentication", 0, "oAuth2")] ?? CREDENTIALS.oAuth2;

export const send = (call, request) => exchange(call, { credentials: credentialsOf(call), ...request });

export const fileUrl = (id) => `${API}/${encodeURIComponent(id)}`;

// ---- What parameters name ----

const FILE_URL = /https:\/\/(?:drive|docs)\.google\.com(?:\/.*|)\/d\/([\w-]+)/;
export const FOLDER_URL = /https:\/\/drive\.google\.com(?:\/.*|)\/folders\/([\w-]+)/;

/** Return the id of what a locator names by its id or its URL. `label` is the parameter's name in n8n's editor. */
export function located(raw, label, pattern) {
  if (typeof raw !== "object" || raw === null) return raw;
  if (raw.mode !== "url") return raw.value;
  const id = pattern.exec(String(raw.value))?.[1];
  if (!id)
    throw new NodeError(
      `ERROR: ${label} parameter's value is invalid. This is likely because the URL entered is incorrect`,
    );
  return id;
}

export const fileOf = (call, index) => located(call.param("fileId", index), "File", FILE_URL);

export const folderOf = (call, index) => located(call.param("folderNoRootId", index), "Folder", FOLDER_URL);

/** Return the folder for what is made or moved: of a shared drive's root, that is the drive. */
export function parentOf(call, index) {
  const folder = located(call.param("folderId", index, "root"), "Parent Folder", FOLDER_URL);
  if (folder !== "root") return folder;
  const drive = located(call.param("driveId", index, "My Drive"), "Parent Drive", FOLDER_URL);
  return !drive || drive === "My Drive" ? "root" : drive;
}

/** Return a list of names as a query has it. */
export const fieldsOf = (names) => (names.includes("*") ? "*" : names.join(", "));

/** Return the options that are fields of a file. */
export function propertiesOf({ propertiesUi, appPropertiesUi }) {
  const byKey = (list) => list && Object.fromEntries(list.map(({ key, value }) => [key, value]));
  return defined({
    properties: byKey(propertiesUi?.propertyValues),
    appProperties: byKey(appPropertiesUi?.appPropertyValues),
  });
}

/** Return the options that say what Drive does with a file's contents. */
export const contentOptions = ({ keepRevisionForever, ocrLanguage, useContentAsIndexableText }) =>
  defined({ keepRevisionForever, ocrLanguage, useContentAsIndexableText });
