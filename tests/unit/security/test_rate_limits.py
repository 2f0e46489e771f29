"""The limiter in front of a shared store of token buckets."""

import pytest

from email_sender.errors import RateLimited, Unavailable
from email_sender.security.rate_limits import Bucket, Limit, RateLimiter, Taken

LIMIT = Limit("client", 600, 60)
BUCKET = Bucket(LIMIT, "ann")


class MemoryBuckets:
    """Buckets in memory. `calls` has how many tokens each call asked for."""

    def __init__(self) -> None:
        self.full_at: dict[str, float] = {}
        self.calls: list[int] = []
        self.is_down = False

    def take(self, bucket: Bucket, tokens: int, now: float) -> Taken:
        self.calls.append(tokens)
        if self.is_down:
            raise Unavailable("Later.")
        each = 60 / bucket.limit.per_minute
        full_at = max(self.full_at.get(bucket.key, 0.0), now) + each * tokens
        excess = full_at - (now + each * bucket.limit.burst)
        if excess > 1e-9:
            return Taken(0, excess)
        self.full_at[bucket.key] = full_at
        return Taken(round((now + each * bucket.limit.burst - full_at) / each))


class Scenario:
    def __init__(self) -> None:
        self.store, self.time, self.failures = MemoryBuckets(), 1_000.0, 0
        self.limiter = self.another_function()

    def another_function(self) -> RateLimiter:
        return RateLimiter(self.store, lambda: self.time, self._count_failure)

    def _count_failure(self) -> None:
        self.failures += 1

    def served(self, count: int, limiter: RateLimiter | None = None, bucket: Bucket = BUCKET) -> int:
        """Return how many of `count` requests at once are served."""
        served = 0
        for _ in range(count):
            try:
                (limiter or self.limiter).take([bucket])
            except RateLimited:
                continue
            served += 1
        return served


@pytest.fixture
def scenario() -> Scenario:
    return Scenario()


def test_a_burst_is_served_and_the_rest_is_refused_with_the_time_to_wait(scenario: Scenario) -> None:
    assert scenario.served(200) == LIMIT.burst
    with pytest.raises(RateLimited, match="more than 600 requests a minute") as error:
        scenario.limiter.take([BUCKET])
    assert error.value.retry_after == 1


def test_most_requests_ask_the_store_nothing(scenario: Scenario) -> None:
    scenario.served(LIMIT.lot * 3)
    assert scenario.store.calls == [LIMIT.lot] * 3
    # A refused client costs nothing either, until tokens have come in.
    scenario.served(200)
    calls = len(scenario.store.calls)
    scenario.served(50)
    assert len(scenario.store.calls) == calls


def test_tokens_come_in_evenly_and_never_more_than_the_limit(scenario: Scenario) -> None:
    served = scenario.served(1_000)
    for _ in range(120):
        scenario.time += 0.5
        served += scenario.served(20)
    assert LIMIT.per_minute <= served <= LIMIT.per_minute + LIMIT.burst


def test_functions_share_a_bucket(scenario: Scenario) -> None:
    others = [scenario.another_function() for _ in range(3)]
    assert sum(scenario.served(100, limiter) for limiter in others) == LIMIT.burst


def test_a_client_that_many_functions_serve_keeps_its_burst(scenario: Scenario) -> None:
    functions = [scenario.another_function() for _ in range(20)]
    for number in range(300):
        scenario.time += 0.2
        assert scenario.served(1, functions[number % 20]) == 1
    # Half of the limit was used, so the bucket is full, up to what the functions hold.
    assert scenario.served(50) == 50


def test_one_client_does_not_use_anothers_tokens(scenario: Scenario) -> None:
    scenario.served(500)
    assert scenario.served(10, bucket=Bucket(LIMIT, "bob")) == 10


def test_the_lowest_standing_is_reported(scenario: Scenario) -> None:
    small = Limit("tenant", 60, 10)
    standing = scenario.limiter.take([BUCKET, Bucket(small, "acme")])
    assert standing is not None
    assert (standing.limit, standing.left) == (small, 9)


def test_requests_are_served_while_the_store_is_away(scenario: Scenario) -> None:
    scenario.store.is_down = True
    assert scenario.limiter.take([BUCKET]) is None
    assert scenario.served(500) == 500
    assert scenario.failures == 501
