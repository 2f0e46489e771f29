// Google Sheets: read, append, update, clear and delete rows.

import { NodeError } from "../errors.js";
import { Pending } from "../requests.js";
import { mappedValues } from "./columns.js";
import { requireParameters } from "./items.js";
import {
  appendRows,
  change,
  clearValues,
  columnLetters,
  columnNumber,
  createDocument,
  createSheets,
  deleteDocument,
  readValues,
  sheetOf,
  writeCells,
  writeRows,
} from "./google_sheets.js";

const OPERATIONS = {
  read: readRows,
  append: appendItems,
  update: (call) => updateItems(call, false),
  appendOrUpdate: (call) => updateItems(call, true),
  clear: clearRows,
  delete: deleteRows,
  create: createSheets,
  remove: removeSheet,
};

const DOCUMENT = { name: "documentId", label: "Document" };
const SHEET = { name: "sheetName", label: "Sheet" };

export function googleSheetsNode(call) {
  try {
    return [run(call)];
  } catch (error) {
    if (!call.continues || error instanceof Pending) throw error;
    return [[{ json: { error: error.message } }]];
  }
}

function run(call) {
  const operation = call.param("operation", 0, "read");
  if (call.param("resource", 0, "sheet") === "spreadsheet") {
    const work = operation === "deleteSpreadsheet" ? deleteDocument : createDocument;
    return call.items.map((_, index) => ({ json: work(call, index), pairedItem: { item: index } }));
  }
  requireParameters(call, operation === "create" ? [DOCUMENT] : [DOCUMENT, SHEET]);
  if (!OPERATIONS[operation]) throw new NodeError(`The operation '${operation}' is not supported`);
  return OPERATIONS[operation](call);
}

const isEmpty = (cell) => cell === undefined || cell === null || cell === "";

// ---- Reading ----

function readRows(call) {
  const sheet = sheetOf(call);
  // Until version 4.1 the node reads once, however many items there are.
  const indexes = call.version > 4.1 ? [...call.items.keys()] : [0];
  return indexes.flatMap((index) => {
    const { dataLocationOnSheet, outputFormatting } = call.param("options", index, {});
    const place = dataLocationOnSheet?.values ?? {};
    const { general = "UNFORMATTED_VALUE", date = "FORMATTED_STRING" } = outputFormatting?.values ?? {};
    const isSpecified = ["specifyRange", "specifyRangeA1"].includes(place.rangeDefinition);
    const values = readValues(
      sheet,
      general,
      place.rangeDefinition === "specifyRangeA1" ? place.range : undefined,
      date,
    );
    const header = place.rangeDefinition === "specifyRange" ? (place.headerRow ?? 1) : 1;
    const first = place.rangeDefinition === "specifyRange" ? (place.firstDataRow ?? 2) : 2;
    const rows = rowsOf(values ?? [], header - 1, first - 1, !isSpecified);
    const filters = call.param("filtersUI", index, {}).values ?? [];
    const found = filters.length > 0 ? lookedUp(call, index, rows, values ?? [], filters) : rows;
    return found.map((json) => ({ json, pairedItem: { item: index } }));
  });
}

/** Return rows as objects, with their number. `isWhole`: empty rows are left out, and missing cells are empty texts. */
function rowsOf(values, header, first, isWhole) {
  const width = Math.max(0, ...values.map((row) => row.length));
  const names = ["row_number", ...Array.from({ length: width }, (_, column) => values[header]?.[column])].map(
    (name, place) => (isEmpty(name) ? `col_${place}` : String(name)),
  );
  const numbered = values.map((row, index) => [index === header ? "row_number" : index + 1, ...row]);
  return numbered
    .slice(first)
    .filter((row) => !isWhole || row.slice(1).some((cell) => !isEmpty(cell)))
    .map((row) => {
      const last = isWhole ? names.length : row.length;
      return Object.fromEntries(names.slice(0, last).map((name, place) => [name, row[place] ?? ""]));
    });
}

function lookedUp(call, index, rows, values, filters) {
  const columns = ["row_number", ...(values[0] ?? []).map(String)];
  for (const { lookupColumn = "" } of filters)
    if (!columns.includes(lookupColumn)) throw new NodeError(`The column "${lookupColumn}" could not be found`);
  const options = call.param("options", index, {});
  const takesAll =
    call.version < 4.5 ? options.returnAllMatches === "returnAllMatches" : options.returnFirstMatch !== true;
  const matches = (row, { lookupColumn, lookupValue = "" }) =>
    String(row[lookupColumn] ?? "") === String(lookupValue ?? "");
  const found =
    call.param("combineFilters", index, "AND") === "OR"
      ? [...new Set(filters.flatMap((filter) => rows.filter((row) => matches(row, filter))))]
      : rows.filter((row) => filters.every((filter) => matches(row, filter)));
  return takesAll ? found : found.slice(0, 1);
}

// ---- Writing ----

/** Return what the node writes for each item, by column, and whether that is the item itself. */
function mapped(call, whatIsEmpty) {
  const isOld = call.version < 4;
  const columns = isOld ? {} : call.param("columns", 0, {});
  const mode = isOld ? call.param("dataMode", 0, "defineBelow") : columns.mappingMode;
  if (mode === "autoMapInputData") return { rows: call.items.map(({ json }) => json), isItem: true, columns };
  if (mode !== "defineBelow") return { rows: [], isItem: false, columns };
  const rows = call.items.map((_, index) => {
    const values = isOld ? oldValues(call, index) : Object.entries(mappedValues(call, index));
    const kept = values.map(([name, value]) => [name, value ?? whatIsEmpty]).filter(([, value]) => value !== undefined);
    return Object.fromEntries(kept);
  });
  return { rows, isItem: isOld, columns };
}

function oldValues(call, index) {
  const { fieldValues, values } = call.param("fieldsUi", index, {});
  const list = (fieldValues ?? values ?? []).map((entry) => [entry.fieldId ?? entry.column, entry.fieldValue]);
  const key = call.param("columnToMatchOn", index, "");
  return key ? [[key, call.param("valueToMatchOn", index)], ...list] : list;
}

const inputOf = (call) => call.param("options", 0, {}).cellFormat ?? (call.version < 4.1 ? "RAW" : "USER_ENTERED");

function cellOf(value, whatIsEmpty) {
  if (value === undefined || value === null) return whatIsEmpty;
  if (value instanceof Date) return value.toISOString();
  return typeof value === "object" ? JSON.stringify(value) : value;
}

/** Return the header with the columns that are new. Raises NodeError if the node refuses them. */
function withNewColumns(call, header, { rows, columns }) {
  const handling = call.param("options", 0, {}).handlingExtraData ?? "insertInNewColumn";
  const isAutomatic = (call.version < 4 ? call.param("dataMode", 0, "") : columns.mappingMode) === "autoMapInputData";
  if (!isAutomatic) {
    if (call.version >= 4.6) requireColumns(header, columns);
    return header;
  }
  const extra = [...new Set(rows.flatMap(Object.keys))].filter(
    (name) => !header.includes(name) && name !== "row_number",
  );
  if (extra.length > 0 && handling === "error") throw new NodeError("Unexpected fields in node input");
  return handling === "insertInNewColumn" ? [...header, ...extra] : header;
}

function requireColumns(header, { schema }) {
  if (!schema?.length) throw new NodeError("`columns.schema` is required when `columns.mappingMode` is `defineBelow`");
  const named = schema.filter(({ removed, id }) => removed !== true && id !== "row_number");
  if (named.some(({ id }) => !header.includes(id)))
    throw new NodeError("Column names were updated after the node's setup");
}

const headerRowOf = (call) => Number(call.param("options", 0, {}).locationDefine?.values?.headerRow ?? 1);

function appendItems(call) {
  if (call.items.length === 0) return [];
  const sheet = sheetOf(call);
  const values = readValues(sheet, "FORMATTED_VALUE") ?? [];
  const data = mapped(call, undefined);
  const headerRow = headerRowOf(call);
  if (values.length === 0) readValues(sheet, "FORMATTED_VALUE", `${headerRow}:${headerRow}`);
  const before = (values[headerRow - 1] ?? []).map(String);
  const header = withNewColumns(call, before, data);
  if (header.length > before.length || values.length === 0)
    writeRows(sheet, `${headerRow}:${headerRow}`, [header], "RAW");
  if (call.param("options", 0, {}).useAppend === true) readValues(sheet, "UNFORMATTED_VALUE");
  addRows(call, sheet, header, data.rows, Math.max(values.length, headerRow));
  return outputsOf(call, data);
}

/** Write rows below row number `last`. */
function addRows(call, sheet, header, rows, last) {
  const usesAppend = call.param("options", 0, {}).useAppend === true;
  const cells = rows.map((row) => header.map((name) => cellOf(row[name], usesAppend ? null : "")));
  const place = `${last + 1}:${last + rows.length}`;
  if (usesAppend) return appendRows(sheet, place, cells, inputOf(call));
  change(call, sheet.document, { appendDimension: { sheetId: String(sheet.id), dimension: "ROWS", length: 1 } });
  return writeRows(sheet, place, cells, inputOf(call));
}

const outputsOf = (call, { rows, isItem }) =>
  call.items.map((item, index) => ({ json: isItem ? item.json : rows[index], pairedItem: { item: index } }));

function updateItems(call, appends) {
  const sheet = sheetOf(call);
  const values = readValues(sheet, "FORMATTED_VALUE") ?? [];
  const data = mapped(call, "");
  const headerRow = headerRowOf(call);
  const before = (values[headerRow - 1] ?? []).map(String);
  const key = keyOf(call, data.columns, appends);
  if (!appends && key !== "row_number" && !before.includes(key))
    throw new NodeError(`Could not find column for key "${key}"`);
  const header = withNewColumns(call, before, data);
  const { cells, missing } = cellsOf(sheet, values, headerRow, header, key, data.rows, appends);
  if (header.length > before.length) writeRows(sheet, `${headerRow}:${headerRow}`, [header], inputOf(call));
  if (cells.length > 0) writeCells(sheet, cells, inputOf(call));
  if (appends && missing.length > 0) addRows(call, sheet, header, missing, Math.max(values.length, headerRow));
  const isAutomatic = data.columns.mappingMode === "autoMapInputData";
  return appends || isAutomatic || cells.length > 0 ? outputsOf(call, data) : [];
}

function keyOf(call, { matchingColumns = [] }, appends) {
  const key = call.version < 4 ? call.param("columnToMatchOn", 0, "") : matchingColumns[0];
  if (key) return key;
  if (call.version < 4) throw new NodeError("The 'Column to Match On' parameter is required");
  throw new NodeError(
    `\`columns.matchingColumns\` is required for the ${appends ? "Append or Update" : "Update"} Row operation`,
  );
}

/** Return the cells to change, and the rows that have no place in the sheet. */
function cellsOf(sheet, values, headerRow, header, key, rows, appends) {
  const cells = [];
  const missing = [];
  const column = header.indexOf(key);
  for (const row of rows) {
    const wanted = row[key];
    const byNumber = key === "row_number" && column < 0;
    const found = values.findIndex(
      (cellsOfRow, place) => place >= headerRow && String(cellsOfRow[column] ?? "") === String(wanted),
    );
    const number = byNumber ? Number(wanted) : found + 1;
    if (isEmpty(wanted) || number < 1 || (byNumber && appends)) missing.push(row);
    if (isEmpty(wanted) || number < 1 || (byNumber && appends)) continue;
    for (const [place, name] of header.entries()) {
      if (name === key || !(name in row)) continue;
      cells.push({ range: `${sheet.title}!${columnLetters(place)}${number}`, values: [[cellOf(row[name], "")]] });
    }
  }
  return { cells, missing };
}

// ---- Clearing and deleting ----

function clearRows(call) {
  const sheet = sheetOf(call);
  for (const index of call.items.keys()) clearOnce(call, index, sheet);
  return call.items.map((item, index) => ({ json: item.json, pairedItem: { item: index } }));
}

function clearOnce(call, index, sheet) {
  const what = call.param("clear", index, "wholeSheet");
  const start = call.param("startIndex", index, what === "specificColumns" ? "A" : 1);
  if (what === "specificRows") {
    const count = Number(call.param("rowsToDelete", index, 1));
    return clearValues(sheet, `${start}:${Number(start) + count - 1}`);
  }
  if (what === "specificColumns") {
    const count = Number(call.param("columnsToDelete", index, 1));
    return clearValues(sheet, `${start}:${columnLetters(columnNumber(start) + count - 1)}`);
  }
  if (what === "specificRange") return clearValues(sheet, call.param("range", index, ""));
  const keepsHeader = call.param("keepFirstRow", index, false) === true;
  const header = keepsHeader ? readValues(sheet, "FORMATTED_VALUE", "1:1") : undefined;
  clearValues(sheet, undefined);
  if (header) writeRows(sheet, "1:1", header, "RAW");
  return undefined;
}

function deleteRows(call) {
  const sheet = sheetOf(call);
  for (const index of call.items.keys()) {
    const isColumns = call.param("toDelete", index, "rows") === "columns";
    const start = call.param("startIndex", index, isColumns ? "A" : 2);
    const startIndex = isColumns ? columnNumber(start) : Number(start) - 1;
    const endIndex = startIndex + Number(call.param("numberToDelete", index, 1));
    const range = { sheetId: String(sheet.id), dimension: isColumns ? "COLUMNS" : "ROWS", startIndex, endIndex };
    change(call, sheet.document, { deleteDimension: { range } });
  }
  return [{ json: { success: true } }];
}

function removeSheet(call) {
  const sheet = sheetOf(call);
  return call.items.map((_, index) => {
    change(call, sheet.document, { deleteSheet: { sheetId: String(sheet.id) } });
    return { json: { spreadsheetId: sheet.document }, pairedItem: { item: index } };
  });
}
