"""The first operator and the first administrator of a tenant, added to the deployed platform as on AWS."""

from typing import Any
from uuid import uuid4

import pytest

from email_sender.coordination.events import PLATFORM_TENANT
from local.client import ApiClient
from scripts.add_user import OPERATOR, Membership, NotAdded, add_person
from tests.conftest import Platform

REGION = "us-east-1"


@pytest.fixture
def outputs(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", platform.cloud.aws_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "000000000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return platform.cloud.outputs


def sign_in(platform: Platform, email: str, password: str) -> Any:
    client = ApiClient.sign_in(platform.api, email, password)
    try:
        return client.get("/contacts", limit=1)
    finally:
        client.close()


def test_an_administrator_of_a_new_tenant_can_sign_in_and_sees_only_this_tenant(
    platform: Platform, outputs: dict[str, str]
) -> None:
    name = f"t{uuid4().hex[:12]}"
    email = f"ada@{name}.example"
    first_admin = Membership(name, "admin", f"Studio <hello@{name}.example>")
    password, tenant_id = add_person(outputs, REGION, email, first_admin)
    assert sign_in(platform, email, password)["items"] == []
    # Repeating it changes the password only.
    assert add_person(outputs, REGION, email, first_admin)[1] == tenant_id
    (row,) = platform.query("select id from email_sender.tenants where name = %s", name)
    assert str(row["id"]) == tenant_id
    # Further people of the tenant.
    member = f"bob@{name}.example"
    password, their_tenant = add_person(outputs, REGION, member, Membership(name, "readonly"))
    assert their_tenant == tenant_id
    assert sign_in(platform, member, password)["items"] == []
    with pytest.raises(NotAdded, match=r"has the role readonly .* already"):
        add_person(outputs, REGION, member, Membership(name, "admin"))


def test_an_operator_belongs_to_the_platform_tenant(platform: Platform, outputs: dict[str, str]) -> None:
    email = f"{uuid4().hex}@ops.example"
    password, _ = add_person(outputs, REGION, email, OPERATOR)
    client = ApiClient.sign_in(platform.api, email, password)
    try:
        assert client.get("/managers/orchestrator/status")["status"]
    finally:
        client.close()
    user = platform.aws("cognito-idp").admin_get_user(
        UserPoolId=outputs["UserPoolId"], Username=email.replace("@", ".at.")
    )
    assert {"Name": "custom:tenant_id", "Value": str(PLATFORM_TENANT)} in user["UserAttributes"]


@pytest.mark.parametrize(
    ("email", "membership", "message"),
    [
        ("ada@example.com", Membership("Bad Name", "admin", "a@b.example"), "The name .* is invalid"),
        ("ada@example.com", Membership("good-name", "admin", "no address"), "The sender .* is not an address"),
        ("ada@example.com", Membership("good-name", "admin", ""), "NAME and SENDER are needed"),
        ("ada@example.com", Membership("nobodys-name", "user"), "There is no tenant named nobodys-name"),
        ("ada@example.com", Membership("acme", "owner"), "must be one of readonly, user, admin"),
        ("ada@example.com", Membership("acme", "operator"), "must be one of readonly, user, admin"),
        ("", OPERATOR, "is not an address"),
        ("ada@", OPERATOR, "is not an address"),
    ],
)
def test_invalid_values_are_refused_with_the_reason(
    outputs: dict[str, str], email: str, membership: Membership, message: str
) -> None:
    with pytest.raises(NotAdded, match=message):
        add_person(outputs, REGION, email, membership)
