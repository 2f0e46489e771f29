"""The first operator and the first administrator of a tenant, added to the deployed platform as on AWS."""

from typing import Any
from uuid import uuid4

import pytest

from email_sender.coordination.events import PLATFORM_TENANT
from local.client import ApiClient
from scripts.add_user import NotAdded, add_person
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
    password = add_person(outputs, REGION, email, (name, f"Studio <hello@{name}.example>"))
    assert sign_in(platform, email, password)["items"] == []
    # Repeating it changes the password only.
    new_password = add_person(outputs, REGION, email, (name, f"Studio <hello@{name}.example>"))
    assert sign_in(platform, email, new_password)["items"] == []
    assert len(platform.query("select id from email_sender.tenants where name = %s", name)) == 1


def test_an_operator_belongs_to_the_platform_tenant(platform: Platform, outputs: dict[str, str]) -> None:
    email = f"{uuid4().hex}@ops.example"
    password = add_person(outputs, REGION, email, None)
    client = ApiClient.sign_in(platform.api, email, password)
    try:
        assert client.get("/managers/orchestrator/status")["status"]
    finally:
        client.close()
    user = platform.aws("cognito-idp").admin_get_user(
        UserPoolId=outputs["UserPoolId"], Username=email.replace("@", ".at.")
    )
    assert {"Name": "custom:tenant_id", "Value": str(PLATFORM_TENANT)} in user["UserAttributes"]


@pytest.mark.parametrize("tenant", [("Bad Name", "a@b.example"), ("good-name", "no address")])
def test_an_invalid_tenant_is_refused_with_the_reason(outputs: dict[str, str], tenant: tuple[str, str]) -> None:
    with pytest.raises(NotAdded, match=r"The name .* is invalid|The sender .* is not an address"):
        add_person(outputs, REGION, "ada@example.com", tenant)
