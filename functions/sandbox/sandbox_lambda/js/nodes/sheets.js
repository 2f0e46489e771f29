// Extract From File and Convert to File for spreadsheets, with the library that n8n has. What a file is decides its content.

import { NodeError } from "../errors.js";
import { read, utils, write } from "../vendor/sheets.js";
import { columnsOf, fileOf, ofAll, READERS, WRITERS } from "./files.js";
import { fileOfBytes } from "./file_types.js";

const TYPES = {
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  xls: "application/vnd.ms-excel",
  ods: "application/vnd.oasis.opendocument.spreadsheet",
  html: "text/html",
  rtf: "application/rtf",
};

function rowsOf(call, index) {
  const options = call.param("options", index, {});
  const book = opened(atob(fileOf(call, index).data), { raw: options.rawData === true });
  if (book.SheetNames.length === 0) throw new NodeError("Spreadsheet does not have any sheets!");
  const name = options.sheetName || book.SheetNames[0];
  const sheet = book.Sheets[name];
  if (!sheet) throw new NodeError(`Spreadsheet does not contain sheet called "${name}"!`);
  const settings = {};
  if (options.range) settings.range = Number.isNaN(Number(options.range)) ? options.range : Number(options.range);
  if (options.includeEmptyCells) settings.defval = "";
  if (options.headerRow === false) settings.header = 1;
  const rows = table(() => utils.sheet_to_json(sheet, settings));
  return rows.map((row) => ({ json: options.headerRow === false ? { row } : row }));
}

const opened = (bytes, settings) => table(() => read(bytes, { type: "binary", ...settings }));

/** Return what the library gives. Its errors are the node's. */
function table(work) {
  try {
    return work();
  } catch (error) {
    throw new NodeError(error.message);
  }
}

const writer = (kind) => (call) => {
  const { headerRow, fileName, sheetName, compression } = call.param("options", 0, {});
  const rows = call.items.map(({ json }) => columnsOf(json));
  const sheet = utils.json_to_sheet(rows, { skipHeader: headerRow === false });
  const name = sheetName || "Sheet";
  const book = { SheetNames: [name], Sheets: { [name]: sheet } };
  const bytes = table(() =>
    write(book, { bookType: kind, bookSST: false, type: "binary", compression: compression === true }),
  );
  return [ofAll(call, fileOfBytes(bytes, { fileName: fileName || `File.${kind}`, mimeType: TYPES[kind] }))];
};

for (const kind of Object.keys(TYPES)) {
  READERS[kind] = rowsOf;
  WRITERS[kind] = writer(kind);
}
