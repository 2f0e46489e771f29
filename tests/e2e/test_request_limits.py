"""Limits of requests on the deployed template. The tests' cloud has high limits, so that it serves the tests."""

import threading
import time
from collections import Counter

import httpx

from local.client import ApiClient, wait_until
from tests.conftest import Platform
from tests.e2e.test_people import deployed_with


def test_every_answer_names_the_limit_and_the_buckets_are_shared(platform: Platform) -> None:
    response = platform["user@acme"].http.get("/contacts")
    assert response.headers["ratelimit-policy"] in ('"client";q=10000000;w=60', '"tenant";q=10000000;w=60')
    assert response.headers["ratelimit"].startswith(('"client";r=', '"tenant";r='))
    anonymous = httpx.get(f"{platform.api}/version", timeout=30)
    assert anonymous.headers["ratelimit-policy"] == '"address";q=10000000;w=60'
    table = platform.aws("cloudformation").describe_stack_resource(
        StackName="email-sender-local", LogicalResourceId="Limits"
    )["StackResourceDetail"]["PhysicalResourceId"]
    buckets = {
        item["bucket"]["S"].partition("/")[0] for item in platform.aws("dynamodb").scan(TableName=table)["Items"]
    }
    assert {"client", "tenant", "address", "sign-in"} <= buckets


def test_a_browser_may_read_the_limit(platform: Platform) -> None:
    response = platform["user@acme"].http.get("/contacts", headers={"origin": "http://localhost:3000"})
    exposed = {name.strip().lower() for name in response.headers["access-control-expose-headers"].split(",")}
    assert {"ratelimit", "ratelimit-policy", "age", "retry-after"} <= exposed


def test_a_client_that_floods_is_refused_and_another_tenant_is_served(platform: Platform) -> None:
    """Prints the times of the other tenant, alone and beside the flood, for docs/benchmarks.md.

    The times are no part of the test: the emulator and both clients share the processors here, and on AWS each function
    has its own.
    """
    with deployed_with(platform, "MessagingFunction", REQUESTS_PER_CLIENT="240", REQUESTS_PER_TENANT="3000"):
        flooding, other = platform["user@acme"], platform["user@globex"]
        # A new version starts cold.
        times_of(other, 5)
        alone = times_of(other, 20)
        stop, started = threading.Event(), time.monotonic()
        answers: Counter[int] = Counter()

        def flood() -> None:
            while not stop.is_set():
                answers[flooding.http.get("/contacts", params={"limit": 1}).status_code] += 1

        threads = [threading.Thread(target=flood) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            # More instances of the function start cold.
            times_of(other, 5)
            beside = times_of(other, 20)
            # However slow the machine is, the flood is faster than four requests a second.
            wait_until(lambda: answers[429], lambda refused: refused > 20, 60)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            seconds = time.monotonic() - started
    print(  # noqa: T201  # for docs/benchmarks.md
        f"other tenant, p95: {p95(alone) * 1000:.0f} ms alone, {p95(beside) * 1000:.0f} ms beside {answers} answers"
    )
    # 240 a minute are allowed, and the tenth part of them at once.
    assert 0 < answers[200] <= 4 * seconds + 24
    assert answers[429] > 20
    assert set(answers) == {200, 429}


def times_of(client: ApiClient, number: int) -> list[float]:
    """Return how long each of the requests took, in seconds. They are half as many as the limit allows.

    Raises:
        ApiError: A request was refused.
    """
    times = []
    for _ in range(number):
        started = time.perf_counter()
        client.get("/contacts", limit=1)
        times.append(time.perf_counter() - started)
        time.sleep(0.5)
    return times


def p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]
