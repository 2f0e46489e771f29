"""Limits of requests: a token bucket for each client, tenant and IP address, shared by all functions.

A function takes tokens in lots, and serves the next requests from its lot: a warm request usually asks nobody. What a
function does not use of its lot within a minute is lost for the others.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from email_sender.errors import RateLimited, Unavailable

# A lot is this part of a minute's tokens, and unused tokens are dropped after this time. With a shorter time, a client
# that many functions serve loses its burst although it stays below its limit.
_LOTS_PER_MINUTE = 60
_LOT_SECONDS = 60.0
# Lots of others than the current client are kept for a while, and then looked through.
_MAX_LOTS = 1_000


@dataclass(frozen=True, slots=True)
class Limit:
    """`per_minute` tokens come in evenly, and at most `burst` of them are kept. `name` is that of RateLimit-Policy."""

    name: str
    per_minute: int
    burst: int

    @property
    def lot(self) -> int:
        return max(1, min(self.per_minute // _LOTS_PER_MINUTE, self.burst // 2))


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket: the limit, and whose it is."""

    limit: Limit
    owner: str

    @property
    def key(self) -> str:
        return f"{self.limit.name}/{self.owner}"


@dataclass(frozen=True, slots=True)
class Taken:
    """`left` tokens are in the bucket. With `wait`, nothing was taken, and tokens come in after so many seconds."""

    left: int
    wait: float = 0.0


class BucketStore(Protocol):
    def take(self, bucket: Bucket, tokens: int, now: float) -> Taken:
        """Take tokens from a bucket, which is full if it is new. `now` is a Unix time. Raises Unavailable."""


@dataclass(slots=True)
class _Lot:
    """Tokens that this process holds until then. `is_empty_everywhere`: there are none before then."""

    tokens: int
    left_in_store: int
    until: float
    is_empty_everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What a response says of the bucket that has the fewest requests left."""

    limit: Limit
    left: int


class RateLimiter:
    """`on_failure` is called if the store does not respond. The request is served then."""

    def __init__(
        self, store: BucketStore, now: Callable[[], float], on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self._store, self._now, self._on_failure = store, now, on_failure
        self._lots: dict[str, _Lot] = {}

    def take(self, buckets: Sequence[Bucket]) -> Standing | None:
        """Take one token from each bucket, and return the lowest standing.

        Raises:
            RateLimited: a bucket is empty.
        """
        standings = [Standing(bucket.limit, left) for bucket in buckets if (left := self._take(bucket)) is not None]
        return min(standings, key=lambda standing: standing.left, default=None)

    def _take(self, bucket: Bucket) -> int | None:
        """Return how many tokens are left, or None if nobody knows."""
        now, lot = self._now(), self._lots.get(bucket.key)
        if lot is None or lot.until <= now or not (lot.tokens or lot.is_empty_everywhere):
            try:
                lot = self._new_lot(bucket, now)
            except Unavailable:
                self._on_failure()
                return None
        if lot.is_empty_everywhere:
            raise _refusal(bucket.limit, lot.until - now)
        lot.tokens -= 1
        return lot.tokens + lot.left_in_store

    def _new_lot(self, bucket: Bucket, now: float) -> _Lot:
        tokens = bucket.limit.lot
        taken = self._store.take(bucket, tokens, now)
        if taken.wait and tokens > 1:
            # Perhaps the last ones.
            tokens = 1
            taken = self._store.take(bucket, tokens, now)
        if taken.wait:
            lot = _Lot(0, 0, now + taken.wait, is_empty_everywhere=True)
        else:
            lot = _Lot(tokens, taken.left, now + _LOT_SECONDS)
        if len(self._lots) >= _MAX_LOTS:
            self._lots = {key: kept for key, kept in self._lots.items() if kept.until > now}
        self._lots[bucket.key] = lot
        return lot


def _refusal(limit: Limit, seconds: float) -> RateLimited:
    wait = max(1, math.ceil(seconds))
    return RateLimited(
        f"There were more than {limit.per_minute} requests a minute ({limit.name}). Try again in {wait} s.", wait
    )
