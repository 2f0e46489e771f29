"""Who is asking, from claims; and the tenant and role that Cognito's trigger puts there."""

import time
from typing import Any
from uuid import UUID

import pytest

from email_sender.errors import Unauthenticated
from email_sender.kit.auth import Principal, principal_from
from email_sender.security.permissions import GRANTS, Role

TENANT = "01930000-0000-7000-8000-00000000000a"


def claims(**changes: Any) -> dict[str, Any]:
    usual = {"sub": "ann", "tenant_id": TENANT, "role": "admin", "token_use": "access", "exp": int(time.time()) + 60}
    return {name: value for name, value in {**usual, **changes}.items() if value != "absent"}


@pytest.mark.parametrize("kind", [int, str], ids=["a number", "as text"])
def test_a_current_access_token_names_subject_tenant_and_role(kind: type[int] | type[str]) -> None:
    exp = kind(int(time.time()) + 60)
    assert principal_from(claims(exp=exp)) == Principal("ann", UUID(TENANT), Role.ADMIN)


@pytest.mark.parametrize("name", ["sub", "tenant_id", "role", "exp", "token_use"])
def test_a_token_without_a_claim_is_refused(name: str) -> None:
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
def test_a_claim_that_says_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        principal_from(claims(**changes))


def test_the_operators_role_has_no_access_to_a_tenants_content() -> None:
    content = ("vectors:", "workflows:", "messaging:", "tenant:")
    assert [each for each in GRANTS[Role.OPERATOR] if each.startswith(content)] == []
