"""Tenants, members, erasure and the audit log on the deployed template."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.qdrant.collection_settings import Placement
from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from local.client import ApiClient, ApiError, wait_until
from scripts.audit_verify import verify
from tests.conftest import Platform
from tests.e2e import api
from tests.fakes import mailboxes


@pytest.fixture
def operator(platform: Platform) -> ApiClient:
    return platform["operator@platform"]


@pytest.fixture
def admin(platform: Platform) -> ApiClient:
    return platform["admin@acme"]


def records(platform: Platform, payload: dict[str, Any]) -> dict[str, Any]:
    return invoke(platform, "RecordsFunction", payload)


def invoke(platform: Platform, function: str, payload: dict[str, Any]) -> dict[str, Any]:
    response = platform.aws("lambda").invoke(
        FunctionName=platform.function_name(function), Payload=json.dumps(payload).encode()
    )
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    assert "FunctionError" not in response, answer
    return answer


def test_an_operator_creates_a_tenant_whose_admin_manages_its_members(platform: Platform, operator: ApiClient) -> None:
    name = f"t{uuid4().hex[:12]}"
    created = operator.post("/tenants", {"name": name, "sender": "Studio <hello@studio.example>"})
    assert operator.get(f"/tenants/{created['id']}") == created
    email = f"ann@{name}.example"
    invited = operator.post(f"/tenants/{created['id']}/admins", {"email": email})
    assert (invited["email"], invited["role"], invited["status"]) == (email, "admin", "invited")
    with signed_in(platform, invited["id"]) as admin:
        bob = admin.post("/members", {"email": f"bob@{name}.example", "role": "readonly"})
        assert admin.put(f"/members/{bob['id']}", {"role": "user"})["role"] == "user"
        assert {(member["email"], member["role"]) for member in admin.get("/members")["items"]} == {
            (email, "admin"), (f"bob@{name}.example", "user"),
        }  # fmt: skip
        with pytest.raises(ApiError, match="only admin"):
            admin.delete(f"/members/{invited['id']}")
        admin.delete(f"/members/{bob['id']}")
        assert [entry["action"] for entry in admin.get("/audit")["items"]][:3] == [
            "member.remove", "member.role", "member.invite",
        ]  # fmt: skip


@contextmanager
def deployed_with(platform: Platform, function: str, **variables: str) -> Iterator[None]:
    """Deploy a function with other environment variables in this block."""
    functions, name = platform.aws("lambda"), platform.function_name(function)
    before = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    environment = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**environment, **variables}})
    version = functions.publish_version(FunctionName=name)["Version"]
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
    try:
        yield
    finally:
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=before)
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": environment})


@contextmanager
def signed_in(platform: Platform, username: str) -> Iterator[ApiClient]:
    """Sign in with the password of the invitation, choose another, and sign in with it."""
    # Stands for the password in the mail of the invitation.
    platform.aws("cognito-idp").admin_set_user_password(
        UserPoolId=platform.cloud.outputs["UserPoolId"], Username=username, Password="Invited1xyz!", Permanent=False
    )
    anonymous = ApiClient(f"{platform.cloud.api_url}/api/v1")
    asked = anonymous.post("/auth/token", {"username": username, "password": "Invited1xyz!"})
    assert asked["challenge"] == "new_password"
    answer = {"username": asked["username"], "session": asked["session"], "password": "Pa55word!xyz"}
    assert anonymous.post("/auth/password", answer)["access_token"]
    anonymous.close()
    client = ApiClient.sign_in(f"{platform.cloud.api_url}/api/v1", username, "Pa55word!xyz")
    try:
        yield client
    finally:
        client.close()


def test_a_suspended_tenant_is_refused_everything_and_loses_nothing(platform: Platform, operator: ApiClient) -> None:
    name = f"t{uuid4().hex[:12]}"
    tenant = operator.post("/tenants", {"name": name, "sender": "Studio <hello@studio.example>"})
    invited = operator.post(f"/tenants/{tenant['id']}/admins", {"email": f"a@{name}.example"})
    with signed_in(platform, invited["id"]) as admin:
        contact = api.add_contact(admin)
        operator.post(f"/tenants/{tenant['id']}/suspend", {})
        with pytest.raises(ApiError, match="suspended") as error:
            admin.get(f"/contacts/{contact['id']}")
        assert error.value.status == 403
        operator.post(f"/tenants/{tenant['id']}/resume", {})
        assert admin.get(f"/contacts/{contact['id']}") == contact


def test_an_erased_person_is_gone_and_every_log_is_intact(platform: Platform, admin: ApiClient) -> None:
    contact = api.add_contact(admin)
    assert admin.post(f"/contacts/{contact['id']}/export", {})["contact"]["email"] == contact["email"]
    receipt = admin.post(f"/contacts/{contact['id']}/erase", {})
    assert receipt["erased"]["contacts"] == 1
    with pytest.raises(ApiError, match="erased"):
        admin.post("/contacts", {"email": contact["email"]})
    answer = records(platform, {})
    assert answer["recorded"] >= 1
    assert answer["sealed"] >= 1
    assert answer["exported"] >= 1
    assert admin.get(f"/contacts/{contact['id']}/erasure")["restores_erase_since"] is not None
    actions = [entry["action"] for entry in admin.get("/audit", limit=200)["items"] if entry["object"] == contact["id"]]
    assert actions == ["contact.erased", "contact.exported"]
    answer = verify(platform.aws("lambda"), platform.function_name("RecordsFunction"))
    assert answer["problems"] == {}
    # The operators' log, and those of the tenants.
    assert answer["verified"] >= 3


def test_an_admin_rotates_the_key_of_a_tenant_while_its_data_stays_readable(
    platform: Platform, operator: ApiClient
) -> None:
    name = f"t{uuid4().hex[:12]}"
    created = operator.post("/tenants", {"name": name, "sender": "Studio <hello@studio.example>"})
    invited = operator.post(f"/tenants/{created['id']}/admins", {"email": f"ann@{name}.example"})
    with (
        # Nobody else uses this tenant, so no function has to learn the new key first.
        deployed_with(platform, "KeyRotationFunction", KEY_ACTIVATION_SECONDS="2"),
        signed_in(platform, invited["id"]) as admin,
    ):
        contact = admin.post("/contacts", {"email": f"ada@{name}.example", "name": "Ada"})
        assert [key["version"] for key in admin.get("/keys")["items"]] == [1]
        assert admin.post("/keys/rotate", {}) == {"version": 2}
        # Who asks again gets the rotation that is under way.
        assert admin.post("/keys/rotate", {}) == {"version": 2}
        (event,) = wait_until(lambda: list(admin.get("/events", type="key.rotated")["items"]), bool, 60)
        assert event["payload"]["data"] == {"version": 2}
        keys = admin.get("/keys")["items"]
        assert [(key["version"], key["finished_at"] is not None) for key in keys] == [(1, True), (2, True)]
        # The function remembers the old key only, and asks the client to try again.
        read = wait_until(lambda: readable(admin, contact["id"]), lambda found: found is not None, 30)
        assert read is not None
        assert read["email"] == f"ada@{name}.example"


def schedules(platform: Platform) -> set[str]:
    return {schedule["Name"] for schedule in platform.aws("scheduler").list_schedules()["Schedules"]}


def rules(platform: Platform) -> set[str]:
    bus = platform.cloud.outputs["BusName"]
    return {rule["Name"] for rule in platform.aws("events").list_rules(EventBusName=bus)["Rules"]}


def points(platform: Platform, tenant: str) -> int:
    """Return how many messages of the tenant the vector engine has."""
    (served,) = platform.query("select stored_as from email_sender.served_collections where name = 'message_vectors'")
    with closing(Channel(Address("127.0.0.1", platform.cloud.ports["qdrant-grpc"], tls=False))) as channel:
        index = QdrantIndex(lambda: channel, Placement(), lambda _: served["stored_as"])
        return index.count(UUID(tenant), "message_vectors")


def readable(admin: ApiClient, contact_id: str) -> api.Json | None:
    try:
        return dict(admin.get(f"/contacts/{contact_id}"))
    except ApiError as error:
        if error.status != 503:
            raise
        return None


def test_a_deleted_tenant_leaves_nothing_behind(platform: Platform, operator: ApiClient) -> None:
    name = f"t{uuid4().hex[:12]}"
    tenant = operator.post("/tenants", {"name": name, "sender": "Studio <hello@studio.example>"})["id"]
    invited = operator.post(f"/tenants/{tenant}/admins", {"email": f"ann@{name}.example"})
    with signed_in(platform, invited["id"]) as admin:
        imported = api.import_mailbox(admin, mailboxes.ordinary(3))
        definition = {
            "triggers": [
                {"schedule": {"cron": "0 9 * * ? *"}},
                {"event": {"source": ["crm"], "detail-type": ["LeadCreated"]}},
            ],
            "steps": [{"id": "w", "uses": "wait", "with": {"seconds": 1}}],
        }
        workflow = admin.post("/workflows", {"definition": {**definition, "name": f"daily-{uuid4().hex}"}})
        triggers = {
            trigger["kind"]: trigger["id"] for trigger in admin.get(f"/workflows/{workflow['id']}/triggers")["items"]
        }
        schedule, rule = (f"email-sender-local-{triggers[kind]}" for kind in ("schedule", "event"))
        wait_until(lambda: schedules(platform) | rules(platform), lambda found: {schedule, rule} <= found, 90)
        assert points(platform, tenant) == 3
        with pytest.raises(ApiError, match="not the name"):
            operator.post(f"/tenants/{tenant}/delete", {"name": "another"})
        deletes_at = operator.post(f"/tenants/{tenant}/delete", {"name": name})["deletes_at"]
        assert operator.get(f"/tenants/{tenant}")["deletes_at"] == deletes_at
        with pytest.raises(ApiError, match="suspended"):
            admin.get("/contacts")
    with psycopg.connect(platform.cloud.database_url) as conn:
        # A week later.
        conn.execute("update email_sender.tenants set deletes_at = now() where id = %s", [tenant])
    assert invoke(platform, "TenantDeletionFunction", {}) == {"deleted": 1}
    assert {schedule, rule}.isdisjoint(schedules(platform) | rules(platform))
    assert points(platform, tenant) == 0
    key = platform.cloud.layout.key_file.parent / "tenants" / tenant
    assert key.read_bytes() == b""
    pool = platform.aws("cognito-idp")
    with pytest.raises(pool.exceptions.UserNotFoundException):
        pool.admin_get_user(UserPoolId=platform.cloud.outputs["UserPoolId"], Username=invited["id"])
    uploads = platform.aws("s3").list_objects_v2(Bucket=platform.cloud.outputs["UploadsBucket"])
    assert not [found["Key"] for found in uploads.get("Contents", []) if imported["id"] in found["Key"]]
    with pytest.raises(ApiError, match="not found"):
        operator.get(f"/tenants/{tenant}")


def test_a_tenant_at_its_quota_is_told_and_an_operator_raises_it(platform: Platform, operator: ApiClient) -> None:
    name = f"t{uuid4().hex[:12]}"
    tenant = operator.post("/tenants", {"name": name, "sender": "Studio <hello@studio.example>"})["id"]
    invited = operator.post(f"/tenants/{tenant}/admins", {"email": f"ann@{name}.example"})
    with signed_in(platform, invited["id"]) as admin:
        definition = {"name": "one", "steps": [{"id": "a", "uses": "transform", "with": {"x": 1}}]}
        for kind in ("runs", "import_bytes", "stored_vectors"):
            operator.put(f"/tenants/{tenant}/quotas/{kind}", {"allowed": 1})
        first = api.start_run(admin, definition)
        api.wait_for_run(admin, first["id"])
        with pytest.raises(ApiError, match="1 runs a day") as refusal:
            admin.post(f"/workflows/{first['workflow_id']}/execute", {"inputs": {}})
        assert refusal.value.status == 429
        with pytest.raises(ApiError, match="import bytes"):
            admin.post("/vectors/imports", {"file_name": "a.mbox", "size_bytes": 2})
        points_in = [{"id": str(uuid4()), "vector": [0.5] * 768} for _ in range(2)]
        with pytest.raises(ApiError, match="vectors"):
            admin.post("/vectors/insert", {"collection": "document_vectors", "points": points_in})
        admin.post("/vectors/insert", {"collection": "document_vectors", "points": points_in[:1]})
        used = {quota["quota"]: quota["used"] for quota in admin.get("/tenants/me")["quotas"]}
        assert (used["runs"], used["import_bytes"]) == (1, 0)
        events = wait_until(
            lambda: list(admin.get("/events", type="quota.exceeded")["items"]), lambda e: len(e) == 3, 30
        )
        assert {event["payload"]["data"]["quota"] for event in events} == {"runs", "import_bytes", "stored_vectors"}
        raised = operator.put(f"/tenants/{tenant}/quotas/runs", {"allowed": None})["items"]
        assert next(quota["allowed"] for quota in raised if quota["quota"] == "runs") > 1
        admin.post(f"/workflows/{first['workflow_id']}/execute", {"inputs": {}})
