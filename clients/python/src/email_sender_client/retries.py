"""When a request is made again."""

import random
from typing import Any

import httpx

from email_sender_client.calls import Call

ATTEMPTS = 5
# Seconds.
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 60.0
# The server did not begin to work on these.
_REFUSED = frozenset({429, 503})
# The server may have worked: only a request without a second effect is made again.
_UNKNOWN = frozenset({500, 502, 504})


def pause_before_retry(call: Call[Any], attempt: int, outcome: httpx.Response | httpx.TransportError) -> float | None:
    """Return the seconds until the next attempt, or None if the outcome is final. Attempts count from 1."""
    if attempt >= ATTEMPTS:
        return None
    if isinstance(outcome, httpx.Response):
        status = outcome.status_code
        if status in _REFUSED:
            asked = outcome.headers.get("retry-after", "")
            if asked.isdigit():
                return float(asked) if float(asked) <= _LONGEST_PAUSE else None
        elif not (status in _UNKNOWN and call.repeatable):
            return None
    elif not (call.repeatable or isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)):
        return None
    # Exponential, with jitter: clients that failed together must not come back together.
    return float(_FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
