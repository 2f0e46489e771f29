// Extract From File and Convert to File: files of items as values, and values as files.

import { NodeError } from "../errors.js";
import { Pending } from "../requests.js";
import { fileOfItem, requireParameters } from "../services/items.js";
import { get, isPlainObject, set } from "../values.js";
import { csvOf, recordsOf } from "./csv.js";
import { bytesOfBase64, decoded, encoded } from "./encodings.js";
import { fileOfBytes } from "./file_types.js";

// The encodings of texts that may begin with a mark.
const MARKED = ["utf8", "cesu8", "ucs2"];

// What has a column for each name has no field for its value.
const TABLES = ["csv", "xlsx", "xls", "ods", "html", "rtf", "pdf"];

export const READERS = {
  csv: rowsOfCsv,
  fromJson: (call, index) => [ofText(call, index, jsonValue)],
  text: (call, index) => [ofText(call, index, (text) => text)],
  xml: (call, index) => [ofText(call, index, (text) => text)],
  binaryToPropery: (call, index) => [withValue(call, index, fileOf(call, index).data)],
};

export async function extractFromFileNode(call) {
  const operation = operationOf(call, READERS);
  if (!TABLES.includes(operation))
    requireParameters(call, [{ name: "destinationKey", label: "Destination Output Field", fallback: "data" }]);
  return [await itemsOf(call, READERS[operation])];
}

function operationOf(call, operations) {
  const operation = call.param("operation", 0, "csv");
  if (!Object.hasOwn(operations, operation)) throw new NodeError(`The operation '${operation}' is not supported`);
  return operation;
}

/** Return the items that `make` returns for each item. If the node continues after errors, an item says its error. */
async function itemsOf(call, make) {
  const items = [];
  for (const index of call.items.keys()) {
    const pairedItem = { item: index };
    try {
      items.push(...(await make(call, index)).map((item) => ({ ...item, pairedItem })));
    } catch (error) {
      if (!call.continues || error instanceof Pending) throw error;
      items.push({ json: { error: error.message }, pairedItem });
    }
  }
  return items;
}

export const fileOf = (call, index) => fileOfItem(call, index, call.param("binaryPropertyName", index, "data"));

function ofText(call, index, valueOf) {
  const { encoding, stripBOM = true } = call.param("options", index, {});
  const text = decoded(atob(fileOf(call, index).data), encoding);
  const keepsMark = stripBOM === false && MARKED.includes(encoding);
  return withValue(call, index, valueOf(keepsMark ? text : text.replace(/^\ufeff/, "")));
}

function jsonValue(text) {
  if (text === "") return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new NodeError(error.message);
  }
}

/** Return an item with the value, and with what the node keeps of its source. */
function withValue(call, index, value) {
  const { keepSource } = call.param("options", index, {});
  const { json, binary } = call.items[index];
  const keeps = (part) => keepSource === part || keepSource === "both";
  const fields = keeps("json") ? { ...json } : {};
  set(fields, call.param("destinationKey", index, "data"), value);
  return { json: fields, ...(keeps("binary") && binary ? { binary } : {}) };
}

function rowsOfCsv(call, index) {
  const options = call.param("options", index, {});
  const { delimiter = ",", encoding = "utf-8", enableBOM, headerRow = true, maxRowCount = -1 } = options;
  const skip = options.skipRecordsWithErrors?.value ?? {};
  if (delimiter === "") {
    const rule = "delimiter must be a non empty string or buffer or array of string|buffer";
    throw new NodeError(`Invalid option delimiter: ${rule}, got ""`);
  }
  if (maxRowCount === 0) throw new NodeError("Invalid Option: to must be a positive integer greater than 0, got 0");
  const text = csvText(atob(fileOf(call, index).data), encoding);
  const records = recordsOf(enableBOM === true ? text.replace(/^\ufeff/, "") : text, {
    delimiter: String(delimiter),
    fromLine: options.fromLine ?? 0,
    relaxQuotes: options.relaxQuotes === true,
    skips: skip.enabled === true,
    mostSkipped: skip.maxSkippedRecords ?? -1,
  });
  const columns = headerRow === false ? undefined : records.shift();
  const rows = maxRowCount > 0 ? records.slice(0, maxRowCount) : records;
  return rows.map((row) => ({ json: rowOf(row, columns, options.includeEmptyCells === true) }));
}

/** ASCII has 7 bits here; other texts have no letters that it does not know. */
const csvText = (bytes, encoding) =>
  encoding === "ascii"
    ? bytes.replace(/[\x80-\xff]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) & 127))
    : decoded(bytes, encoding);

function rowOf(row, columns, hasEmpty) {
  if (!columns) return { row: hasEmpty ? row : { ...filled(Object.entries(row)) } };
  const cells = row.map((text, place) => [columns[place], text]).filter(([name]) => name !== "__proto__");
  return hasEmpty ? Object.fromEntries(cells) : filled(Object.entries(Object.fromEntries(cells)));
}

const filled = (cells) => Object.fromEntries(cells.filter(([, text]) => text !== ""));

export const WRITERS = {
  csv: (call) => [ofAll(call, csvFile(call))],
  toJson(call) {
    const values = call.items.map((item) => item.json);
    if (call.param("mode", 0, "once") !== "each") return [ofAll(call, jsonFile(call, 0, values))];
    return itemsOf(call, (_, index) => [withFile(call, index, jsonFile(call, index, values[index]))]);
  },
  toText: (call) => {
    requireParameters(call, [{ name: "sourceProperty", label: "Text Input Field" }]);
    return itemsOf(call, (_, index) => [withFile(call, index, textFile(call, index))]);
  },
  toBinary: (call) => {
    requireParameters(call, [{ name: "sourceProperty", label: "Base64 Input Field" }]);
    return itemsOf(call, (_, index) => [withFile(call, index, binaryFile(call, index))]);
  },
};

export const convertToFileNode = async (call) => [await WRITERS[operationOf(call, WRITERS)](call)];

const withFile = (call, index, file) => ({
  json: {},
  binary: { [call.param("binaryPropertyName", index, "data")]: file },
});

export const ofAll = (call, file) => ({
  ...withFile(call, 0, file),
  pairedItem: call.items.map((_, item) => ({ item })),
});

function csvFile(call) {
  const { delimiter, headerRow, fileName } = call.param("options", 0, {});
  const rows = call.items.map(({ json }) => columnsOf(json));
  const text = csvOf(rows, { delimiter: delimiter || ",", header: headerRow !== false });
  return fileOfBytes(encoded(`\ufeff${text}`), { fileName: fileName || "File.csv" });
}

/** Return the values of an object by their paths. Objects and lists without values have none. */
export function columnsOf(object) {
  const columns = {};
  for (const [name, value] of Object.entries(object)) {
    if (typeof value !== "object" || value === null) columns[name] = value;
    else for (const [path, nested] of Object.entries(columnsOf(value))) columns[`${name}.${path}`] = nested;
  }
  return columns;
}

function jsonFile(call, index, value) {
  const options = call.param("options", index, {});
  const text = JSON.stringify(value, null, options.format === true ? 2 : undefined);
  const names = { fileName: options.fileName || "file.json", mimeType: "application/json" };
  return fileOfBytes(bytesOf(text, options), names);
}

function bytesOf(text, { encoding = "utf8", addBOM }) {
  const mark = addBOM === true && MARKED.includes(encoding) ? "\ufeff" : "";
  return encoded(`${mark}${text}`, encoding);
}

function valueOf(call, index) {
  const name = String(call.param("sourceProperty", index, ""));
  const value = get(call.items[index].json, name);
  if (value === undefined) throw new NodeError(`The value in "${name}" is not set`);
  return value;
}

function textFile(call, index) {
  const options = call.param("options", index, {});
  const value = valueOf(call, index);
  const isJson = typeof value === "object";
  return fileOfBytes(bytesOf(isJson ? JSON.stringify(value) : String(value), options), {
    fileName: options.fileName || "file.txt",
    mimeType: isJson ? "application/json" : "text/plain",
  });
}

function binaryFile(call, index) {
  const options = call.param("options", index, {});
  const value = valueOf(call, index);
  const isText = call.version <= 1 && options.dataIsBase64 === false;
  const { fileName, mimeType } = options;
  if (typeof fileName === "number")
    throw new NodeError(`The "path" argument must be of type string. Received type number (${fileName})`);
  const bytes = isText ? bytesOf(String(value), options) : bytesOfBase64(base64Text(value));
  return fileOfBytes(bytes, { fileName: fileName || undefined, mimeType: mimeType || undefined });
}

function base64Text(value) {
  if (typeof value === "string") return value;
  const found = isPlainObject(value) ? "an instance of Object" : `type ${typeof value} (${value})`;
  throw new NodeError(
    `The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object. Received ${found}`,
  );
}
