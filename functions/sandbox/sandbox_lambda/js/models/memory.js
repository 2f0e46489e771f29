// The memory of agents: what was said before in a session, which the platform keeps.

import { NodeError } from "../errors.js";
import { responsesTo } from "../requests.js";

const PAIRS = 5;

/** Return the session of the node's memory: {session, limit}, or null without one. As in n8n, the first item names it. */
export function sessionOf(call) {
  const memory = call.attached("ai_memory").find((one) => !one.disabled);
  if (!memory) return null;
  const { sessionIdType, sessionKey, contextWindowLength = PAIRS } = call.resolved(memory.parameters, 0);
  const version = memory.typeVersion ?? 1;
  const isOwn = version < 1.2 || sessionIdType === "customKey";
  const named = isOwn ? (sessionKey ?? (version < 1.1 ? "chat_history" : undefined)) : call.items[0]?.json.sessionId;
  const session = String(named ?? "").trim();
  if (session === "") throw new NodeError(`Error in sub-node ${memory.name}`);
  return { session, limit: 2 * Math.max(Number(contextWindowLength) || PAIRS, 1) };
}

/** Return the last turns of the session: [{role, text}]. */
export function remembered(sender, session) {
  if (!session) return [];
  const [{ turns }] = responsesTo(sender, [{ recall: session }]);
  return turns;
}

export function remember(sender, session, prompt, answer) {
  if (!session) return;
  const turns = [
    { role: "user", text: prompt },
    { role: "assistant", text: answer },
  ];
  responsesTo(sender, [{ remember: { session: session.session, turns } }]);
}
