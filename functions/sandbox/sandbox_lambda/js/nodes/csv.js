// CSV: what Extract From File reads and Convert to File writes.

import { NodeError } from "../errors.js";
import { parse } from "../vendor/formats.js";

const BAD_RECORD = /^(CSV_RECORD_|CSV_QUOTE_|CSV_INVALID_CLOSING_|INVALID_OPENING_)/;

/**
 * Return the records of CSV, each a list of texts. Empty lines are left out. A record with quotes in wrong places, or with
 * another number of fields than the first, ends the list, as in n8n, or is left out if `skips`.
 */
export function recordsOf(text, { delimiter, fromLine, relaxQuotes, skips, mostSkipped }) {
  const records = [];
  let skipped = 0;
  const options = {
    delimiter,
    from_line: fromLine || 1,
    relax_quotes: relaxQuotes,
    skip_empty_lines: true,
    skip_records_with_error: skips,
    on_record: (record) => void records.push(record),
    on_skip: () => void (skipped += 1),
  };
  try {
    parse(text, options);
  } catch (error) {
    if (!BAD_RECORD.test(error.code)) throw new NodeError(error.message);
  }
  if (skips && mostSkipped > 0 && skipped > mostSkipped) throw new NodeError("Max number of skipped records exceeded");
  return records;
}

/** Return the CSV of rows, each an object with texts, numbers, … by column. */
export function csvOf(rows, { delimiter = ",", header = true }) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = rows.map((row) => columns.map((column) => cell(row[column])));
  const table = header ? [columns.map(cell), ...lines] : lines;
  // Programs take a file that begins with ID for another format than CSV.
  if (table[0]?.[0] === "ID") table[0][0] = '"ID"';
  return table.map((line) => line.map((text) => quoted(text, delimiter)).join(delimiter)).join("\n");
}

const quoted = (text, delimiter) =>
  text !== '"ID"' && (text.includes(delimiter) || /["\n]/.test(text)) ? `"${text.replaceAll('"', '""')}"` : text;

function cell(value) {
  if (typeof value === "number") return numberText(value);
  if (typeof value === "boolean") return value ? "TRUE" : "FALSE";
  return String(value ?? "");
}

/** Return a number as spreadsheets show it: it has at most 11 characters, without its sign. */
function numberText(value) {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 31) return String(value);
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size >= -4 && size <= -1) return short(value.toPrecision(10 + size));
  if (size === 10) return short(value.toFixed(10).slice(0, 12));
  const width = value < 0 ? 12 : 11;
  const texts = [short(value.toFixed(12)), short(value.toPrecision(10))];
  return (texts.find((text) => text.length <= width) ?? short(value.toExponential(5))).toUpperCase();
}

/** Return a number's text without zeros at the end of its fraction. */
const short = (text) => text.replace(/\.(\d*?)0*(?=e|$)/, (_, digits) => (digits ? `.${digits}` : ""));
