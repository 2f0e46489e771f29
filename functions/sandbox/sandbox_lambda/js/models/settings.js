// What the nodes of models say about their answers. The model itself is the deployment's.

const MOST_TOKENS = 4_096;

/** Return {max_tokens, temperature} of the model that belongs to the node. As in n8n, it is read for the first item. */
export function modelSettings(call) {
  const [model] = call.attached("ai_languageModel");
  const options = model ? call.resolved(model.parameters.options ?? {}, 0) : {};
  const tokens = Number(
    options.maxTokens ?? options.maxOutputTokens ?? options.maxTokensToSample ?? options.numPredict,
  );
  const temperature = Number(options.temperature);
  return {
    max_tokens: tokens >= 1 ? Math.min(Math.floor(tokens), MOST_TOKENS) : MOST_TOKENS,
    temperature: temperature >= 0 ? Math.min(temperature, 1) : 0,
  };
}

/** Return a text of a parameter as n8n sends it to a model: objects as JSON. */
export function textFrom(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Return whether the model that belongs to the node is to answer with JSON. */
export const wantsJson = (call) =>
  call.attached("ai_languageModel")[0]?.parameters.options?.responseFormat === "json_object";

/** Return the items of the results of `eachAtOnce`. Throw the first error, unless the node continues after errors. */
export function itemsOf(call, results) {
  return results.map(({ value, error }, index) => {
    const pairedItem = { item: index };
    if (!error) return { json: value, pairedItem };
    if (!call.continues) throw error;
    return { json: { error: error.message }, pairedItem };
  });
}
