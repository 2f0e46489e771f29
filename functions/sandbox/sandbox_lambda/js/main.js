// The entry: JSON in, JSON out.

import { runWorkflow } from "./workflow.js";

// Code of tenants may replace what it finds.
const { parse, stringify } = JSON;
const PROTOTYPES = [Object, Array, String, Number, Boolean].map((type) => type.prototype);

globalThis.runRequest = async (text) => {
  const answer = await runWorkflow(parse(text));
  for (const prototype of PROTOTYPES) delete prototype.toJSON;
  return stringify(answer);
};
