// Work for each item that sends requests: what the items ask for at the same time is sent at the same time.

import { Pending, responsesTo } from "../requests.js";

/**
 * Return what `work` returns for each item, or the error that it throws: {value, mails} or {error}. Work of an item sends
 * with the `sender` that it is given. It is run again from its beginning after each of its requests, and finds time,
 * random numbers and the nodes' memories as they were. Without `continues`, the first error ends all.
 */
export async function eachAtOnce(call, work) {
  const parts = call.items.map(newPart);
  for (;;) {
    for (const [index, part] of parts.entries()) if (!part.result) await go(call, part, () => work(index, part));
    const waiting = parts.filter((part) => !part.result);
    if (waiting.length === 0) return parts.map((part) => part.result);
    const responses = call.send(waiting.flatMap((part) => part.requests));
    for (const part of waiting) part.responses.push(...responses.splice(0, part.requests.length));
  }
}

/** The same, one item after the other: each sees what the ones before it did. */
export async function eachInTurn(call, work) {
  const results = [];
  for (const index of call.items.keys()) {
    const part = newPart();
    while (!part.result) {
      await go(call, part, () => work(index, part));
      if (!part.result) part.responses.push(...call.send(part.requests));
    }
    results.push(part.result);
  }
  return results;
}

/** `mails`: those that tools of the work write. They count when it ends. */
const newPart = () => ({ responses: [], sent: 0, mails: [], began: null, requests: null, result: null });

async function go(call, part, work) {
  part.sent = 0;
  part.mails = [];
  if (part.began) call.goBack(part.began);
  else part.began = call.save();
  try {
    part.result = { value: await work(), mails: part.mails };
  } catch (error) {
    if (error instanceof Pending) part.requests = error.requests;
    else if (call.continues) part.result = { error };
    else throw error;
  }
}

/** Return the answer of the deployment's model to one request: {text, data, calls: [{id, name, arguments}]}. */
export function answerTo(sender, request) {
  const [answer] = responsesTo(sender, [request]);
  return answer;
}
