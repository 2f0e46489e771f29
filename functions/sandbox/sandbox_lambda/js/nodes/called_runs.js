// What other workflows gave that the workflow called.

import { NodeError } from "../errors.js";

/** Each item names a run, by its `run_id`. The items that the run ended with take its place. */
export function calledRunsNode(call) {
  if (call.items.length === 0) return [[]];
  const answers = call.send(call.items.map(({ json }) => ({ run: { id: json.run_id } })));
  const failed = answers.find(({ error }) => error);
  if (failed) throw new NodeError(failed.error);
  return [answers.flatMap(({ items }, index) => items.map((json) => call.keep({ json }, index)))];
}
