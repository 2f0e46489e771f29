import { secondsOf } from "./errors.js";

export const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 60_000;
// The server, or API Gateway before it, may have begun: only a request without a second effect is made again.
const UNKNOWN = new Set([500, 502, 503, 504]);

/** Whether a second request has no second effect. */
export function isRepeatable(request: Request): boolean {
  return ["GET", "PUT", "DELETE"].includes(request.method) || request.headers.has("idempotency-key");
}

/** Return the milliseconds until the next attempt, or undefined if the outcome is final. Attempts count from 1. */
export function pauseBeforeRetry(request: Request, attempt: number, outcome: Response | undefined): number | undefined {
  if (attempt >= ATTEMPTS || request.signal.aborted || !helps(request, outcome)) return undefined;
  const seconds = secondsOf(outcome?.headers.get("retry-after") ?? null);
  if (seconds !== undefined) return seconds * 1000 <= LONGEST_PAUSE_MS ? seconds * 1000 : undefined;
  // Exponential, with jitter: clients that failed together must not come back together.
  return FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random());
}

function helps(request: Request, outcome: Response | undefined): boolean {
  if (outcome === undefined) return isRepeatable(request);
  // The first attempt with this idempotency key has not ended.
  if (outcome.status === 409) return outcome.headers.has("retry-after");
  return outcome.status === 429 || (UNKNOWN.has(outcome.status) && isRepeatable(request));
}
