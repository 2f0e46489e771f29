"""Limits of requests on the deployed template. The tests' cloud has high limits, so that it serves the tests."""

import httpx

from tests.conftest import Platform


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
