// A tool that is code of the author.

import { NodeError } from "../errors.js";
import { runSource } from "../nodes/code.js";
import { schemaOfExample } from "./schemas.js";
import { nameOf } from "./tools.js";

export function toolCode(call, node, { index, sender, told, name, parameters }) {
  const { description = "", specifyInputSchema = false, jsCode = "" } = node.parameters;
  const version = node.typeVersion ?? 1;
  return {
    name: version < 1.2 ? nameOf(node.parameters.name || node.name) : name,
    description: call.resolved(description, index),
    parameters: specifyInputSchema ? schemaFor(node, version) : parameters,
    use: async (given) => {
      if (jsCode.trim() === "") throw new NodeError("No code to execute");
      const query = specifyInputSchema ? given : given.input;
      const result = await runSource(call.callFor(node, index, sender), jsCode, { query });
      if (!["string", "number"].includes(typeof result)) throw new NodeError("Wrong output type returned");
      return told(String(result));
    },
  };
}

function schemaFor(node, version) {
  const { schemaType = "fromJson", jsonSchemaExample = "{}", inputSchema = "{}" } = node.parameters;
  try {
    if (schemaType !== "fromJson") return JSON.parse(inputSchema);
    return schemaOfExample(JSON.parse(jsonSchemaExample), version >= 1.3);
  } catch {
    throw new NodeError(`Error in sub-node ${node.name}`);
  }
}
