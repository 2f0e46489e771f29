// XML: an item's text as an object, and an item as a text.

import { NodeError } from "../errors.js";
import { requireParameters } from "../services/items.js";
import { Builder, Parser } from "../vendor/formats.js";

const READING = { mergeAttrs: true, explicitArray: false };

export async function xmlNode(call) {
  requireParameters(call, [{ name: "dataPropertyName", label: "Property Name", fallback: "data" }]);
  // As in n8n, the first item says how all are read and written.
  const options = call.param("options", 0, {});
  const convert = call.param("mode", 0, "xmlToJson") === "xmlToJson" ? read : written;
  const items = [];
  for (const [index, item] of call.items.entries()) {
    const field = call.param("dataPropertyName", index, "data");
    try {
      items.push({ json: await convert(item.json, field, options), pairedItem: { item: index } });
    } catch (error) {
      // A failing item is left out if the node continues.
      if (!call.continues) throw error instanceof NodeError ? error : new NodeError(error.message);
    }
  }
  return [items];
}

function read(json, field, options) {
  const value = json[field];
  if (value === undefined) throw new NodeError(`Item has no JSON property called "${field}"`);
  if (value === null) throw new NodeError("Cannot read properties of null (reading 'toString')");
  return new Promise((resolve, reject) => {
    new Parser({ ...READING, ...options }).parseString(String(value), (error, found) => {
      if (error) return reject(new NodeError(error.message));
      if (found === null || found === undefined)
        return reject(new NodeError("Cannot read properties of null (reading '$error')"));
      return resolve(found);
    });
  });
}

function written(json, field, options) {
  return { [field]: new Builder(options).buildObject(json) };
}
