"""Tests for reading the caller's principal from token claims, and for the operator role's grants."""

import time
from typing import Any
from uuid import UUID

import pytest

from email_sender.errors import Unauthenticated
from email_sender.kit.auth import Principal, principal_from
from email_sender.security.permissions import GRANTS, Role

TENANT = "01930000-0000-7000-8000-00000000000a"


def claims(**changes: Any) -> dict[str, Any]:
    defaults = {"sub": "ann", "tenant_id": TENANT, "role": "admin", "token_use": "access", "exp": int(time.time()) + 60}
    return {name: value for name, value in {**defaults, **changes}.items() if value != "absent"}


@pytest.mark.parametrize("kind", [int, str], ids=["a number", "as text"])
def test_a_valid_access_token_yields_subject_tenant_and_role(kind: type[int] | type[str]) -> None:
    exp = kind(int(time.time()) + 60)
    assert principal_from(claims(exp=exp)) == Principal("ann", UUID(TENANT), Role.ADMIN)


@pytest.mark.parametrize("name", ["sub", "tenant_id", "role", "exp", "token_use"])
def test_a_token_without_a_required_claim_is_rejected(name: str) -> None:
    with pytest.raises(Unauthenticated):
        principal_from(claims(**{name: "absent"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"token_use": "id"}, {"token_use": "refresh"}, {"tenant_id": "acme"}, {"tenant_id": ""}, {"role": "root"},
        {"role": "Admin"}, {"exp": int(time.time())}, {"exp": 0}, {"exp": "never"}, {"exp": None}, {"exp": []},
        {"exp": "1e99"}, {"exp": float("inf")},
    ],
)  # fmt: skip
def test_a_token_with_an_invalid_claim_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        principal_from(claims(**changes))


def test_the_operators_role_has_no_access_to_a_tenants_content() -> None:
    content = ("vectors:", "workflows:", "messaging:", "tenant:")
    assert [permission for permission in GRANTS[Role.OPERATOR] if permission.startswith(content)] == []
