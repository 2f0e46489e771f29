// Google Sheets, versions 3 and 4: sheets, and where their cells are. What is done to rows is in google_sheets_rows.js.

import { NodeError } from "../errors.js";
import { exchange } from "../requests.js";

const API = "https://sheets.googleapis.com/v4/spreadsheets";
const CREDENTIALS = { oAuth2: "googleSheetsOAuth2Api", serviceAccount: "googleApi" };
const MODES = { id: "By ID", list: "From List", name: "By Name", url: "By URL" };
const DOCUMENT_URL = /https:\/\/(?:drive|docs)\.google\.com\/.*\/d\/([\w-]+)/;

/** Return the value of a parameter that names a thing of a service, and how: {value, mode}. */
function locatorOf(call, name, index) {
  const raw = call.param(name, index, "");
  return typeof raw === "object" && raw !== null
    ? { value: raw.value ?? "", mode: raw.mode }
    : { value: raw, mode: "id" };
}

export function documentOf(call) {
  const { value, mode } = locatorOf(call, "documentId", 0);
  const text = String(value);
  const id = mode === "url" || text.startsWith("https://") ? (DOCUMENT_URL.exec(text)?.[1] ?? "") : text;
  return encodeURIComponent(id);
}

/** A sheet of a document: {document, id, title, call}. */
export function sheetOf(call) {
  const document = documentOf(call);
  const { value, mode } = locatorOf(call, "sheetName", 0);
  if (value === "") throw new NodeError(`Can not get sheet '${MODES[mode] ?? mode}' with a value of ''`);
  const id = mode === "name" ? undefined : sheetId(value, mode);
  const { sheets = [] } = send(call, { url: `${API}/${document}`, query: { fields: "sheets.properties" } });
  const found = (is) => sheets.map(({ properties }) => properties).find(is);
  if (mode === "name") {
    const sheet = found(({ title }) => title === String(value));
    if (!sheet) throw new NodeError(`Sheet with name ${value} not found`);
    return { call, document, id: sheet.sheetId, title: sheet.title };
  }
  const sheet = found((one) => String(one.sheetId) === id);
  if (!sheet) throw new NodeError(`Sheet with ID ${id} not found`);
  return { call, document, id: sheet.sheetId, title: sheet.title };
}

function sheetId(value, mode) {
  const id = mode === "url" ? /[#&?]gid=(\d+)/.exec(String(value))?.[1] : String(value).replace(/^gid=/, "");
  if (id === undefined)
    throw new NodeError(
      "ERROR: Sheet parameter's value is invalid. This is likely because the URL entered is incorrect",
    );
  return id;
}

const send = (call, request) =>
  exchange(call, {
    credentials: CREDENTIALS[call.param("authentication", 0, "oAuth2")] ?? CREDENTIALS.oAuth2,
    ...request,
  });

/** Return a range as a URL has it: `place` is "3:4" or "A1:B2"; without, it is the whole sheet. */
function rangePath(sheet, place) {
  const title = encodeURIComponent(sheet.title);
  return place === undefined ? `'${title}'` : `${title}!${place}`;
}

/** Return the rows of a range, each a list of cells. */
export function readValues(sheet, render, place, dates = "FORMATTED_STRING") {
  const query = { valueRenderOption: render, dateTimeRenderOption: dates };
  return send(sheet.call, { url: `${API}/${sheet.document}/values/${rangePath(sheet, place)}`, query }).values;
}

export function writeRows(sheet, place, values, input) {
  const url = `${API}/${sheet.document}/values/${rangePath(sheet, place)}`;
  const body = { range: `${sheet.title}!${place}`, values };
  send(sheet.call, { method: "PUT", url, query: { valueInputOption: input }, body });
}

export function appendRows(sheet, place, values, input) {
  const url = `${API}/${sheet.document}/values/${rangePath(sheet, place)}:append`;
  const body = { range: `${sheet.title}!${place}`, values };
  send(sheet.call, { method: "POST", url, query: { valueInputOption: input }, body });
}

/** Write single cells: `data` is a list of {range, values}. */
export function writeCells(sheet, data, input) {
  const url = `${API}/${sheet.document}/values:batchUpdate`;
  send(sheet.call, { method: "POST", url, body: { data, valueInputOption: input } });
}

export function clearValues(sheet, place) {
  const url = `${API}/${sheet.document}/values/${rangePath(sheet, place)}:clear`;
  const range = place === undefined ? sheet.title : `${sheet.title}!${place}`;
  send(sheet.call, { method: "POST", url, body: { spreadsheetId: sheet.document, range } });
}

export const change = (call, document, request) =>
  send(call, { method: "POST", url: `${API}/${document}:batchUpdate`, body: { requests: [request] } });

/** Return the letters of a column that is counted from 0. */
export function columnLetters(column) {
  let letters = "";
  for (let rest = column + 1; rest > 0; rest = Math.floor((rest - 1) / 26))
    letters = String.fromCharCode(65 + ((rest - 1) % 26)) + letters;
  return letters;
}

export const columnNumber = (letters) =>
  [...String(letters).toUpperCase()].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 64, 0) - 1;

// ---- Documents and sheets as a whole ----

export function createDocument(call, index) {
  const { locale, autoRecalc } = call.param("options", index, {});
  const sheets = (call.param("sheetsUi", index, {}).sheetValues ?? []).map(({ title, hidden = false }) => ({
    properties: { title, hidden },
  }));
  const properties = {
    title: call.param("title", index, ""),
    ...(autoRecalc && { autoRecalc }),
    ...(locale && { locale }),
  };
  return send(call, { method: "POST", url: API, body: { properties, sheets } });
}

export function deleteDocument(call, index) {
  const { value } = locatorOf(call, "documentId", index);
  const id = encodeURIComponent(DOCUMENT_URL.exec(String(value))?.[1] ?? value);
  send(call, { method: "DELETE", url: `https://www.googleapis.com/drive/v3/files/${id}` });
  return { success: true };
}

/** Return a sheet for each title that the document does not have. */
export function createSheets(call) {
  const document = documentOf(call);
  const { sheets = [] } = send(call, { url: `${API}/${document}`, query: { fields: "sheets.properties" } });
  const titles = new Set(sheets.map(({ properties }) => properties.title));
  const created = [];
  for (const index of call.items.keys()) {
    const title = call.param("title", index, "n8n-sheet");
    if (titles.has(title)) continue;
    titles.add(title);
    const { tabColor, ...options } = call.param("options", index, {});
    const color = tabColor && { tabColor: colorOf(tabColor) };
    const { replies } = change(call, document, { addSheet: { properties: { ...options, ...color, title } } });
    created.push({ json: { spreadsheetId: document, ...replies[0].addSheet.properties }, pairedItem: { item: index } });
  }
  return created;
}

function colorOf(text) {
  const digits = String(text).replace("#", "");
  const [red, green, blue] = [0, 2, 4].map((start) => Number.parseInt(digits.slice(start, start + 2), 16) / 255);
  return { red, green, blue };
}
