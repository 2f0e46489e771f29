// The entry: JSON in, JSON out.

import { useClock, useSeed } from "./repeatable.js";
import { runWorkflow } from "./workflow.js";

// Code of tenants may replace what it finds.
const { parse, stringify } = JSON;
const PROTOTYPES = [Object, Array, String, Number, Boolean].map((type) => type.prototype);

/** `entropy` seeds the random numbers of a request that has no seed. */
globalThis.runRequest = async (text, entropy) => {
  const request = parse(text);
  useClock(request.now ?? Date.now());
  useSeed(request.seed ?? entropy);
  const answer = await runWorkflow(request);
  for (const prototype of PROTOTYPES) delete prototype.toJSON;
  return stringify(answer);
};
