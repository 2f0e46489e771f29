// What a chain or an agent makes of the model's answer: a text, or data as its parser says.

import { NodeError } from "../errors.js";
import { shortTypeOf } from "../node_types.js";
import { schemaOfExample } from "./schemas.js";

const MISFIT = "Model output doesn't fit required format";

/** Return the JSON Schema of the answer, or undefined if it is a text. */
export function answerSchema(call) {
  if (call.param("hasOutputParser", 0, false) !== true) return undefined;
  return schemaFrom(
    call,
    call.attached("ai_outputParser").find((parser) => !parser.disabled),
  );
}

function schemaFrom(call, parser) {
  if (!parser) return undefined;
  const type = shortTypeOf(parser);
  // It has another model repair an answer; here, the model is told what is wrong with it, anyway.
  if (type === "outputParserAutofixing") return schemaFrom(call, call.attachedTo(parser, "ai_outputParser")[0]);
  if (type === "outputParserItemList") return { type: "array", items: { type: "string" } };
  const version = parser.typeVersion ?? 1;
  const { schemaType = "fromJson", jsonSchemaExample, inputSchema, jsonSchema } = parser.parameters;
  const isExample = version >= 1.2 && schemaType === "fromJson";
  const text = isExample ? (jsonSchemaExample ?? EXAMPLE) : (inputSchema ?? jsonSchema ?? EXAMPLE_SCHEMA);
  let read;
  try {
    read = JSON.parse(text);
  } catch {
    throw new NodeError(`Error in sub-node ${parser.name}`);
  }
  return isExample ? withoutLimits(schemaOfExample(read, version >= 1.3)) : read;
}

const EXAMPLE = '{"state": "California", "cities": ["Los Angeles", "San Francisco", "San Diego"]}';
const EXAMPLE_SCHEMA =
  '{"type": "object", "properties": {"state": {"type": "string"}, "cities": {"type": "array", "items": {"type": "string"}}}}';

/** Return the value of an answer, without what its schema does not name. */
export function valueOf(answer, schema) {
  if (answer.error !== undefined)
    throw new NodeError(answer.is_mismatch ? MISFIT : answer.error);
  return schema === undefined ? answer.text : named(answer.data, schema);
}

function named(value, schema) {
  if (Array.isArray(value)) return schema.items ? value.map((one) => named(one, schema.items)) : value;
  if (typeof value !== "object" || value === null || !schema.properties || schema.additionalProperties) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key in schema.properties)
      .map(([key, nested]) => [key, named(nested, schema.properties[key])]),
  );
}

/** Return a schema that allows more fields, which are dropped then. */
function withoutLimits(schema) {
  if (Array.isArray(schema)) return schema.map(withoutLimits);
  if (typeof schema !== "object" || schema === null) return schema;
  const kept = Object.entries(schema).filter(([key, value]) => !(key === "additionalProperties" && value === false));
  return Object.fromEntries(kept.map(([key, value]) => [key, withoutLimits(value)]));
}
