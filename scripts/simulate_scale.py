"""Simulate one function under load: queueing, cold starts and database connections. Prints the tables of docs/scale.md.

Requests arrive at random (Poisson) at a constant rate, from the first second on. A free execution environment serves a
request at once. Without one, Lambda starts another, at most 1,000 each 10 seconds, up to the account's limit; beyond
it, the request is refused with 429. Provisioned environments are ready at the beginning. A request holds one of the
proxy's database connections for a part of its time, and waits for one in turn.

Sources of the limits: docs.aws.amazon.com/lambda ("Lambda scaling behavior", "Lambda quotas").
"""

import argparse
import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp, log

from rich.console import Console
from rich.table import Table

# The standard normal quantile of 95 %, to fit a lognormal distribution to a median and a 95th percentile.
_NORMAL_P95 = 1.645
_STARTS_IN_TEN_SECONDS = 1_000


@dataclass(frozen=True)
class Load:
    """A kind of request. Times are in seconds. `database_share` is the part of the time that holds a connection."""

    name: str
    rate: float
    p50: float
    p95: float
    cold_start: float
    database_share: float


@dataclass
class Outcome:
    latencies: list[float] = field(default_factory=list)
    cold_starts: int = 0
    refused: int = 0
    environments: int = 0
    waited_for_connection: int = 0

    def percentile(self, share: float) -> float:
        ranked = sorted(self.latencies)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


# Service times measured on two cores (docs/benchmarks.md), with 2 ms more for the network within AWS.
LOADS = (
    Load("10,000 simple requests/s", 10_000, 0.0035, 0.006, 1.2, 0.4),
    Load("10,000 searches/s", 10_000, 0.0085, 0.011, 1.4, 0.15),
    Load("1,630 inserts of 100 vectors/s", 1_630, 0.060, 0.110, 1.4, 0.05),
    Load("100,000 users, a request each 10 s", 10_000, 0.0060, 0.012, 1.3, 0.3),
)


def simulate(load: Load, seconds: float, limit: int, connections: int, provisioned: int, seed: int = 1) -> Outcome:
    chance = random.Random(seed)  # noqa: S311  # a simulation
    sigma = log(load.p95 / load.p50) / _NORMAL_P95
    outcome = Outcome(environments=provisioned)
    idle = provisioned
    starts = float(_STARTS_IN_TEN_SECONDS)
    refilled_at = 0.0
    busy: list[float] = []
    held = [0.0] * connections
    for now in _arrivals(load.rate, seconds, chance):
        while busy and busy[0] <= now:
            heapq.heappop(busy)
            idle += 1
        rate = _STARTS_IN_TEN_SECONDS / 10
        starts = min(_STARTS_IN_TEN_SECONDS, starts + (now - refilled_at) * rate)
        refilled_at = now
        ready = now
        if idle:
            idle -= 1
        elif starts >= 1 and outcome.environments < limit:
            starts -= 1
            outcome.environments += 1
            outcome.cold_starts += 1
            ready += load.cold_start
        else:
            outcome.refused += 1
            continue
        service = load.p50 * exp(sigma * chance.gauss(0, 1))
        begun = max(ready, held[0])
        outcome.waited_for_connection += begun > ready
        heapq.heapreplace(held, begun + service * load.database_share)
        finished = begun + service
        heapq.heappush(busy, finished)
        outcome.latencies.append(finished - now)
    return outcome


def _arrivals(rate: float, seconds: float, chance: random.Random) -> Iterator[float]:
    now = chance.expovariate(rate)
    while now < seconds:
        yield now
        now += chance.expovariate(rate)


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate one function under load.")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    console = Console(width=150)
    for limit, connections, provisioned in ((1_000, 90, 0), (1_000, 90, 250), (1_000, 20, 250), (10_000, 400, 0)):
        table = Table("load", "environments", "p50", "p95", "p99", "cold", "refused", "waited for a connection")
        table.title = (
            f"{provisioned} environments provisioned, {limit:,} allowed; {connections} database connections; "
            f"the first {options.seconds:.0f} s"
        )
        for load in LOADS:
            outcome = simulate(load, options.seconds, limit, connections, provisioned)
            served = len(outcome.latencies)
            requests = served + outcome.refused
            table.add_row(
                load.name,
                f"{outcome.environments:,}",
                *(f"{outcome.percentile(share) * 1000:,.0f} ms" for share in (0.5, 0.95, 0.99)),
                f"{outcome.cold_starts / requests:.1%}",
                f"{outcome.refused / requests:.1%}",
                f"{outcome.waited_for_connection / max(1, served):.1%}",
            )
        console.print(table)


if __name__ == "__main__":
    main()
