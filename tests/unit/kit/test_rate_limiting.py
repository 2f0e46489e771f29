"""Which buckets a request takes tokens from."""

from typing import Any

import pytest

from email_sender.kit.rate_limiting import LimitSettings, buckets_of, limit_headers
from email_sender.security.rate_limits import Limit, Standing


def scope(path: str = "/contacts", claims: dict[str, str] | None = None, forwarded: str = "") -> Any:
    context: dict[str, Any] = {"http": {"sourceIp": "192.0.2.1"}}
    if claims is not None:
        context["authorizer"] = {"jwt": {"claims": claims}}
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return {"path": f"/api/v1{path}", "headers": headers, "aws.event": {"requestContext": context}}


def settings(**changes: int) -> LimitSettings:
    return LimitSettings(stage="test", limits_table="t", **changes)  # type: ignore[arg-type]


def owners(request: Any, **changes: int) -> list[tuple[str, str]]:
    return [(bucket.limit.name, bucket.owner) for bucket in buckets_of(request, settings(**changes))]


def test_a_signed_in_request_counts_for_its_user_and_its_tenant() -> None:
    claims = {"sub": "ann", "tenant_id": "acme"}
    assert owners(scope(claims=claims)) == [("client", "acme/ann"), ("tenant", "acme")]
    client, tenant = buckets_of(scope(claims=claims), settings(requests_per_client=50, requests_per_tenant=70))
    assert (client.limit, tenant.limit) == (Limit("client", 50, 10), Limit("tenant", 70, 10))


@pytest.mark.parametrize(
    ("path", "name"), [("/auth/token", "sign-in"), ("/auth/refresh", "sign-in"), ("/hooks/x", "address")]
)
def test_a_request_without_a_token_counts_for_its_address(path: str, name: str) -> None:
    ((limit, owner),) = owners(scope(path))
    assert limit == name
    # Nobody has to know the address.
    assert "192.0.2.1" not in owner


def test_addresses_that_a_client_claims_are_not_believed() -> None:
    direct, claimed = owners(scope()), owners(scope(forwarded="198.51.100.7"))
    assert direct == claimed
    behind_proxy = owners(scope(forwarded="198.51.100.7, 192.0.2.1"), trusted_proxies=1)
    assert behind_proxy == owners(scope(forwarded="203.0.113.9, 198.51.100.7, 192.0.2.1"), trusted_proxies=1)
    assert behind_proxy != direct
    assert owners(scope(forwarded="192.0.2.1"), trusted_proxies=1) == direct


def test_the_headers_name_the_policy_and_what_is_left() -> None:
    assert dict(limit_headers(Standing(Limit("client", 1_000, 100), 42))) == {
        b"ratelimit-policy": b'"client";q=1000;w=60', b"ratelimit": b'"client";r=42;t=60',
    }  # fmt: skip
