// Vector stores: searches by text, and answers of the model that reads what was found.

import { NodeError } from "../errors.js";
import { responsesTo } from "../requests.js";
import { promptFor } from "./agent.js";
import { answerTo, eachAtOnce } from "./at_once.js";
import { itemsOf, modelSettings, textFrom } from "./settings.js";

const PASSAGES = 4;
const MOST = 50;
const LONGEST = 8_000;
const ANSWER =
  "Answer the question with the passages that were found, and with nothing else. " +
  "If they do not answer it, say that you do not know.";

/** Return the passages that a text finds in the collection of a node: [{text, metadata, score}]. */
export function passagesFor(sender, { parameters }, text, limit = PASSAGES) {
  const wanted = textFrom(text).slice(0, LONGEST);
  if (wanted.trim() === "") return [];
  const asked = {
    collection: parameters.collection ?? "message_vectors",
    text: wanted,
    limit: Math.min(Math.max(Math.floor(limit) || PASSAGES, 1), MOST),
  };
  const [answer] = responsesTo(sender, [{ search: asked }]);
  if (answer.error !== undefined) throw new NodeError(answer.error);
  return answer.passages;
}

export const documentOf = ({ text, metadata }) => ({ pageContent: text, metadata });

/** Return the model's answer to a question, which it finds in passages. `instructions` may name them as {context}. */
export function answerFrom(sender, settings, { question, passages, instructions = "" }) {
  const found = passages.map(({ text }) => text).join("\n---\n");
  const system = instructions ? instructions.replaceAll("{context}", "the passages below") : ANSWER;
  const text = `${question}\n\nPassages:\n${found || "(none)"}`;
  const answer = answerTo(sender, { ...settings, system, turns: [{ role: "user", text }] });
  if (answer.error !== undefined) throw new NodeError(answer.error);
  return answer.text;
}

/** A vector store that loads what a text finds. */
export async function vectorStoreNode(call) {
  if (call.param("mode", 0, "load") !== "load") throw new NodeError("Only searching by text is supported");
  const results = await eachAtOnce(call, (index, sender) =>
    passagesFor(sender, call.node, call.param("prompt", index, ""), Number(call.param("topK", index, PASSAGES))),
  );
  const includesMetadata = call.param("includeDocumentMetadata", 0, true) !== false;
  return [
    itemsOf(call, results).flatMap(({ json, pairedItem }) =>
      !Array.isArray(json)
        ? [{ json, pairedItem }]
        : json.map((passage) => {
            const { metadata, ...document } = documentOf(passage);
            const shown = includesMetadata ? { metadata, ...document } : document;
            return { json: { document: shown, score: passage.score }, pairedItem };
          }),
    ),
  ];
}

/** The chain that answers questions from a vector store. */
export async function retrievalNode(call) {
  const settings = modelSettings(call);
  const [retriever] = call.attached("ai_retriever");
  const limit = Number(retriever ? call.resolved(retriever.parameters.topK ?? PASSAGES, 0) : PASSAGES);
  const results = await eachAtOnce(call, (index, sender) => {
    const question = call.version < 1.2 ? textFrom(call.param("query", index, "")) : promptFor(call, index, 1.2);
    const instructions = textFrom(call.param("options", index, {}).systemPromptTemplate);
    const text = answerFrom(sender, settings, {
      question,
      passages: passagesFor(sender, call.node, question, limit),
      instructions,
    });
    return { response: call.version >= 1.5 ? text : { text } };
  });
  return [itemsOf(call, results)];
}
