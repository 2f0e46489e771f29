"""When a request is made again."""

import random
from typing import Any

import httpx

from email_sender_client.calls import Call

ATTEMPTS = 5
# Seconds.
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 60.0
# The server, or API Gateway before it, may have begun: only a request without a second effect is made again.
_UNKNOWN = frozenset({500, 502, 503, 504})


def pause_before_retry(call: Call[Any], attempt: int, outcome: httpx.Response | httpx.TransportError) -> float | None:
    """Return the seconds until the next attempt, or None if the outcome is final. Attempts count from 1."""
    if attempt >= ATTEMPTS or not _helps(call, outcome):
        return None
    asked = outcome.headers.get("retry-after", "") if isinstance(outcome, httpx.Response) else ""
    if asked.isdigit():
        return float(asked) if float(asked) <= _LONGEST_PAUSE else None
    # Exponential, with jitter: clients that failed together must not come back together.
    return float(_FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311


def _helps(call: Call[Any], outcome: httpx.Response | httpx.TransportError) -> bool:
    if isinstance(outcome, httpx.TransportError):
        never_sent = isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        return never_sent or call.repeatable
    if outcome.status_code == httpx.codes.CONFLICT:
        # The first attempt with this idempotency key has not ended.
        return "retry-after" in outcome.headers
    return outcome.status_code == httpx.codes.TOO_MANY_REQUESTS or (outcome.status_code in _UNKNOWN and call.repeatable)
