"""Tests for the simulation of docs/scale.md, against what queueing theory says."""

import pytest

from scripts.simulate_scale import Load, simulate

STEADY = Load("steady", rate=1_000, p50=0.010, p95=0.010, cold_start=1.0, database_share=0.5)


def test_with_enough_of_everything_a_request_takes_its_own_time() -> None:
    outcome = simulate(STEADY, 5, limit=1_000, connections=1_000, provisioned=100)
    assert (outcome.refused, outcome.cold_starts, outcome.waited_for_connection) == (0, 0, 0)
    assert outcome.percentile(0.99) == pytest.approx(0.010)
    assert len(outcome.latencies) == pytest.approx(5_000, rel=0.1)


def test_a_sudden_load_starts_environments_and_is_refused_beyond_the_limit() -> None:
    outcome = simulate(STEADY, 5, limit=100, connections=1_000, provisioned=0)
    assert outcome.environments == outcome.cold_starts == 100
    # In the first second a thousand requests come, and a hundred environments are starting.
    assert outcome.refused == pytest.approx(900, rel=0.1)
    assert outcome.percentile(1.0) == pytest.approx(1.010)


def test_lambda_starts_a_thousand_environments_in_ten_seconds() -> None:
    slow = Load("slow", rate=1_000, p50=60.0, p95=60.0, cold_start=1.0, database_share=0.0)
    outcome = simulate(slow, 10, limit=10_000, connections=1, provisioned=0)
    # 1,000 at once, and 100 a second from then on.
    assert outcome.environments == pytest.approx(2_000, rel=0.05)


def test_too_few_connections_make_requests_wait() -> None:
    # 1,000 requests a second, each with a connection for 5 ms, need five connections.
    enough = simulate(STEADY, 5, limit=1_000, connections=20, provisioned=500)
    too_few = simulate(STEADY, 5, limit=1_000, connections=4, provisioned=1_000)
    assert enough.percentile(0.95) < 0.012
    assert too_few.percentile(0.95) > 0.5
