"""Sign-in where admins need a second factor, and what a refused person leaves behind, on the deployed template."""

import base64
import hmac
import struct
import time
from hashlib import sha1
from uuid import uuid4

import pytest

from local.client import ApiClient, ApiError, wait_until
from tests.conftest import Platform
from tests.e2e.test_people import deployed_with, signed_in

PASSWORD = "Pa55word!xyz"  # of a tenant that the test creates


def code_of(secret: str) -> str:
    """Return what an authenticator app shows now (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30), sha1)
    offset = digest[-1] & 15
    return f"{(struct.unpack_from('>I', digest, offset)[0] & 0x7FFFFFFF) % 1_000_000:06}"


def test_an_admin_sets_up_an_authenticator_app_before_anything_else(platform: Platform) -> None:
    operator, name = platform["operator@platform"], f"t{uuid4().hex[:12]}"
    tenant = operator.post("/tenants", {"name": name, "sender": "Studio <hello@studio.example>"})["id"]
    ann = operator.post(f"/tenants/{tenant}/admins", {"email": f"ann@{name}.example"})["id"]
    anonymous = ApiClient(f"{platform.cloud.api_url}/api/v1")
    with deployed_with(platform, "PreTokenFunction", SECOND_FACTOR="required"):
        with signed_in(platform, ann) as restricted:
            with pytest.raises(ApiError, match="second factor") as refusal:
                restricted.get("/contacts")
            assert refusal.value.status == 403
        credentials = {"username": ann, "password": PASSWORD}
        token = anonymous.post("/auth/token", credentials)["access_token"]
        setup = anonymous.post("/auth/totp/setup", {"access_token": token})
        assert setup["secret"] in setup["uri"]
        with pytest.raises(ApiError, match="code"):
            anonymous.post("/auth/totp/confirm", {"access_token": token, "code": "000000"})
        code = code_of(setup["secret"])
        anonymous.http.post("/auth/totp/confirm", json={"access_token": token, "code": code}).raise_for_status()
        asked = anonymous.post("/auth/token", credentials)
        assert asked["challenge"] == "totp"
        answer = {"username": asked["username"], "session": asked["session"]}
        with pytest.raises(ApiError) as wrong:
            anonymous.post("/auth/totp", {**answer, "code": "000000"})
        assert wrong.value.status == 401
        asked = anonymous.post("/auth/token", credentials)
        answer = {"username": asked["username"], "session": asked["session"], "code": code_of(setup["secret"])}
        tokens = anonymous.post("/auth/totp", answer)
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    assert anonymous.http.get("/contacts", headers=headers).status_code == 200
    actions = [entry["action"] for entry in anonymous.http.get("/audit", headers=headers).json()["items"]]
    assert actions.count("session.started") >= 2
    anonymous.close()


def test_a_lost_app_is_reset_by_an_admin(platform: Platform) -> None:
    name = f"t{uuid4().hex[:12]}"
    operator = platform["operator@platform"]
    tenant = operator.post("/tenants", {"name": name, "sender": "Studio <hello@studio.example>"})["id"]
    ann = operator.post(f"/tenants/{tenant}/admins", {"email": f"ann@{name}.example"})["id"]
    with signed_in(platform, ann) as admin:
        bob = admin.post("/members", {"email": f"bob@{name}.example", "role": "user"})["id"]
        admin.delete(f"/members/{bob}/second-factor")
        with pytest.raises(ApiError, match="not found"):
            admin.delete("/members/nobody/second-factor")
        actions = [entry["action"] for entry in admin.get("/audit")["items"]]
        assert "member.second_factor_reset" in actions


def test_a_refusal_is_an_event_and_in_the_audit_log_once_a_minute(platform: Platform) -> None:
    reader, admin = platform["readonly@acme"], platform["admin@acme"]
    for _ in range(3):
        with pytest.raises(ApiError, match="permission messaging:write"):
            reader.post("/contacts", {"email": "a@b.example"})
    events = wait_until(lambda: list(admin.get("/events", type="access.denied")["items"]), bool, 30)
    data = events[0]["payload"]["data"]
    assert (data["role"], data["permission"], data["route"]) == (
        "readonly", "messaging:write", "POST /contacts",
    )  # fmt: skip
    # A minute may have ended in between.
    assert 1 <= sum(event["payload"]["data"] == data for event in events) <= 2
    denials = [entry for entry in admin.get("/audit")["items"] if entry["action"] == "access.denied"]
    assert denials[0]["details"]["permission"] == "messaging:write"
