// Which items of earlier nodes an item came from.

import { ExpressionError } from "./errors.js";

/** Give each item that names no origin one: the item at its place, or the only item. */
export function paired(outputs, inputs) {
  const items = inputs[0] ?? [];
  return outputs.map((output) =>
    output.map((item, index) => {
      if (item.pairedItem !== undefined) return item;
      if (items.length === 1) return { ...item, pairedItem: { item: 0 } };
      return outputs.length === 1 && items.length === output.length ? { ...item, pairedItem: { item: index } } : item;
    }),
  );
}

/** What came between two given nodes is not known here: their only items belong together, else those in one place. */
function itemInPlace(run, target, index) {
  const ran = run.results[target]?.[0];
  if (!ran?.isGiven) return undefined;
  const items = ran.outputs.find((output) => output.length > 0) ?? [];
  return items.length === 1 ? items[0] : items[index];
}

/**
 * Return the item of the node `target` that the item came from. `source` lists where each input came from; an item that
 * came in an earlier run of its node says so itself (`from`).
 */
export function originOf(run, item, source, target, depth = 0) {
  const links = item?.pairedItem;
  if (links === undefined || links === null || depth > 200) return undefined;
  const found = new Set();
  for (const link of Array.isArray(links) ? links : [links]) {
    const { item: index, input = 0, from = source[input] } = typeof link === "number" ? { item: link } : link;
    if (!from) continue;
    const ran = run.results[from.node]?.[from.run];
    const earlier = ran?.outputs?.[from.output]?.[index];
    if (!earlier) continue;
    const origin =
      from.node === target
        ? earlier
        : ran.isGiven
          ? itemInPlace(run, target, index)
          : originOf(run, earlier, ran.source, target, depth + 1);
    if (origin) found.add(origin);
  }
  if (found.size > 1) throw new ExpressionError("Multiple matches found");
  return [...found][0];
}
