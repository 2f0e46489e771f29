"""When a request is made again."""

import random
from typing import Any

import httpx

from email_sender_client.calls import Call
from email_sender_client.errors import ApiError

ATTEMPTS = 5
# Seconds.
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 60.0
# The server, or API Gateway before it, may have begun: only a request without a second effect is made again.
_UNKNOWN = frozenset({500, 502, 503, 504})


def pause_or_raise(call: Call[Any], attempt: int, outcome: httpx.Response | httpx.TransportError | ApiError) -> float:
    """Return the seconds until the next attempt. Attempts count from 1.

    Raises:
        ApiError, httpx.TransportError: the outcome is final. An outcome that is an ApiError is of the refresh of the
            session.
    """
    response = outcome.response if isinstance(outcome, ApiError) else outcome
    asked = response.headers.get("retry-after", "") if isinstance(response, httpx.Response) else ""
    is_soon = not asked.isdigit() or float(asked) <= _LONGEST_PAUSE
    if attempt >= ATTEMPTS or not is_soon or not _helps(call, response):
        raise ApiError(outcome) if isinstance(outcome, httpx.Response) else outcome
    # Exponential, with jitter: clients that failed together must not come back together.
    jitter = random.uniform(0.5, 1.5)  # noqa: S311 - no secret
    return float(asked) if asked.isdigit() else _FIRST_PAUSE * 2.0 ** (attempt - 1) * jitter


def _helps(call: Call[Any], outcome: httpx.Response | httpx.TransportError) -> bool:
    if isinstance(outcome, httpx.TransportError):
        never_sent = isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        return never_sent or call.repeatable
    if outcome.status_code == httpx.codes.CONFLICT:
        # The first attempt with this idempotency key has not ended.
        return "retry-after" in outcome.headers
    return outcome.status_code == httpx.codes.TOO_MANY_REQUESTS or (outcome.status_code in _UNKNOWN and call.repeatable)
