// What is in the elements of a page: their texts, their HTML, or their attributes.

import { NodeError } from "../errors.js";
import { get } from "../values.js";
import { convert, load } from "../vendor/formats.js";
import { decoded } from "./encodings.js";

/** Return an object for each page of an item. */
export function extracted(call, index) {
  const { values } = call.param("extractionValues", index, call.version > 1 ? { values: [{}] } : {});
  const pages = [pageOf(call, index)].flat();
  if (!values) throw new NodeError("extractionValues.values is not iterable");
  const options = call.param("options", index, {});
  return pages.map((html) => {
    if (typeof html === "number") throw new NodeError(`Cannot create property 'prev' on number '${html}'`);
    const page = load(html);
    const fields = values.map((value) => [value.key ?? "", found(call, page, value, options)]);
    return Object.fromEntries(fields.filter(([, value]) => value !== undefined && value !== null));
  });
}

function pageOf(call, index) {
  const name = call.param("dataPropertyName", index, "data");
  const { json, binary } = call.items[index];
  if (call.param("sourceData", index, "json") === "binary") {
    if (!binary?.[name]) throw new NodeError(`No property named "${name}" exists!`);
    return decoded(atob(binary[name].data), "utf8");
  }
  const value = call.version >= 1.1 ? get(json, name) : json[name];
  if (value === undefined) throw new NodeError(`No property named "${name}" exists!`);
  return value;
}

function found(call, page, value, options) {
  const elements = page(String(value.cssSelector ?? ""));
  const read = (element) => cleaned(valueOf(call, element, value), options);
  return value.returnArray === true ? [...elements].map((element) => read(page(element)) ?? null) : read(elements);
}

function valueOf(call, elements, { returnValue = "text", attribute, skipSelectors = "" }) {
  if (returnValue === "html") return elements.html() || undefined;
  if (returnValue === "attribute") return elements.attr(attribute);
  if (returnValue === "value") {
    const value = elements.val();
    return Array.isArray(value) ? value.join(",") : value;
  }
  if (call.version < 1.2) return elements.text() || undefined;
  const skipped = skipSelectors ? skipSelectors.split(",") : [];
  return convert(elements.html() || "", {
    selectors: skipped.map((selector) => ({ selector: selector.trim(), format: "skip" })),
  });
}

function cleaned(value, { trimValues, cleanUpText }) {
  if (typeof value !== "string") return value;
  const trimmed = trimValues === true || cleanUpText === true ? value.trim() : value;
  return cleanUpText === true ? trimmed.replace(/\r\n|\n|\r/g, "").replace(/\s+/g, " ") : trimmed;
}
