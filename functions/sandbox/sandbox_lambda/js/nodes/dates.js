// Date & Time, version 2, and Crypto.

import { DateTime } from "../dates.js";
import { NodeError } from "../errors.js";
import { dateOfText } from "../types.js";

const singular = (unit) => String(unit).replace(/s$/, "");
const plural = (unit) => `${singular(unit)}s`;

/** Return a value of a parameter as a DateTime. Raises NodeError if it is no date. */
export function date(value, options = {}) {
  if (DateTime.isDateTime(value) && value.isValid) return value;
  if (value instanceof Date) return DateTime.fromJSDate(value);
  if (options.fromFormat) return checked(DateTime.fromFormat(String(value), options.fromFormat, { setZone: true }));
  const text = String(value).trim();
  if (/^-?\d{13}$/.test(text)) return DateTime.fromMillis(Number(text));
  if (/^-?\d{10}$/.test(text)) return DateTime.fromSeconds(Number(text));
  return dateOfText(text) ?? checked(DateTime.fromMillis(Date.parse(text)));
}

function checked(value) {
  if (!value.isValid) throw new NodeError("Invalid date format");
  return value;
}

const OPERATIONS = {
  formatDate(call, index, options) {
    const format = call.param("format", index, "MM/dd/yyyy");
    const value = date(call.param("date", index, ""), options);
    return ["formattedDate", value.toFormat(format === "custom" ? call.param("customFormat", index, "") : format)];
  },
  addToDate: (call, index) => ["newDate", shifted(call, index, 1)],
  subtractFromDate: (call, index) => ["newDate", shifted(call, index, -1)],
  getTimeBetweenDates(call, index, options) {
    const [start, end] = [date(call.param("startDate", index, "")), date(call.param("endDate", index, ""))];
    const difference = end.diff(start, call.param("units", index, ["day"]).map(plural));
    return ["timeDifference", options.isoString ? difference.toISO() : difference.toObject()];
  },
  extractDate(call, index) {
    const value = date(call.param("date", index, ""));
    const part = call.param("part", index, "month");
    return ["datePart", part === "week" ? value.weekNumber : value.get(part)];
  },
  roundDate(call, index) {
    const value = date(call.param("date", index, ""));
    if (call.param("mode", index, "roundDown") === "roundDown")
      return ["roundedDate", value.startOf(call.param("toNearest", index, "month"))];
    const unit = call.param("to", index, "month");
    return ["roundedDate", value.plus({ [plural(unit)]: 1 }).startOf(unit)];
  },
  getCurrentDate(call, index) {
    const now = DateTime.now();
    return ["currentDate", call.param("includeTime", index, true) ? now : now.startOf("day")];
  },
};

function shifted(call, index, sign) {
  const amount = sign * call.param("duration", index, 0);
  return date(call.param("magnitude", index, "")).plus({
    [plural(call.param("timeUnit", index, "days"))]: amount,
  });
}

export function dateTimeNode(call) {
  if (call.version < 2) throw new NodeError("Date & Time before version 2 is not supported");
  return [
    call.eachItem((item, index) => {
      const options = call.param("options", index, {});
      const [name, value] = OPERATIONS[call.param("operation", index, "getCurrentDate")](call, index, options);
      const target = call.param("outputFieldName", index, name);
      return {
        ...(options.includeInputFields ? item.json : {}),
        [target]: DateTime.isDateTime(value) ? value.toISO() : value,
      };
    }),
  ];
}

export function cryptoNode(call) {
  return [
    call.eachItem((item, index) => {
      const target = call.param("dataPropertyName", index, "data");
      return { ...item.json, [target]: encrypted(call, index) };
    }),
  ];
}

function encrypted(call, index) {
  const action = call.param("action", index, "hash");
  if (action === "generate" && call.param("encodingType", index, "uuid") === "uuid") return uuid();
  if (!["hash", "hmac"].includes(action)) throw new NodeError(`Crypto cannot do '${action}' here`);
  const value = call.param("value", index, "");
  if (typeof value !== "string") {
    throw new NodeError(
      `The "data" argument must be of type string or an instance of Buffer, TypedArray, or DataView. Received type ${typeof value} (${String(value)})`,
    );
  }
  const key = action === "hmac" ? String(call.param("secret", index, "")) : null;
  const hash = globalThis.__hash(call.param("type", index, "MD5"), value, key);
  if (hash === null) throw new NodeError("The hash type is unknown");
  if (call.param("encoding", index, "hex") === "hex") return hash;
  return btoa(hash.replace(/../g, (pair) => String.fromCharCode(Number.parseInt(pair, 16))));
}

export function uuid() {
  const digits = Array.from({ length: 32 }, () => Math.floor(Math.random() * 16).toString(16)).join("");
  const text = `${digits.slice(0, 12)}4${digits.slice(13, 16)}${"89ab"[Math.floor(Math.random() * 4)]}${digits.slice(17)}`;
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
