"""Triggers that start workflows on the deployed template: events, schedules, and webhooks."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from local.client import wait_until
from tests.conftest import Platform
from tests.e2e import api
from tests.e2e.webhook_client import WebhookClient, list_triggers, publish_workflow, wait_for_runs

# ---- Schedules -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scheduled_workflow(platform: Platform) -> api.Json:
    """Publish a workflow that runs every minute, before the other tests, so that its first run is ready at the end."""
    schedule = {"schedule": {"cron": "* * * * ? *", "timezone": "Asia/Kathmandu"}, "inputs": {"greeting": "hello"}}
    return publish_workflow(platform["user@acme"], schedule)


def test_an_application_event_starts_one_run_of_its_own_tenant(
    platform: Platform, scheduled_workflow: api.Json
) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    pattern = {
        "source": [source],
        "detail-type": ["LeadCreated"],
        "detail": {"data": {"size": [{"numeric": [">", 3]}]}},
    }
    workflow = publish_workflow(client, {"event": pattern})
    other_workflow = publish_workflow(platform["admin@globex"], {"event": {"source": [source]}})
    assert [(entry["kind"], entry["state"]) for entry in list_triggers(client, workflow)] == [("event", "active")]
    event = client.post("/events", {"source": source, "type": "LeadCreated", "data": {"size": 5, "name": "Ann"}})
    client.post("/events", {"source": source, "type": "LeadCreated", "data": {"size": 1}})
    client.post("/events", {"source": source, "type": "Other", "data": {"size": 9}})
    (run,) = wait_for_runs(client, workflow, 1)
    event_input = run["inputs"]["event"]
    assert (event_input["source"], event_input["type"], event_input["data"]) == (
        source,
        "LeadCreated",
        {"size": 5, "name": "Ann"},
    )
    assert event_input["id"] == event["id"]
    assert api.wait_for_run(client, run["id"])["status"] == "succeeded"
    (trigger,) = list_triggers(client, workflow)
    assert (trigger["last_run_id"], trigger["last_error"], run["trigger_id"]) == (run["id"], None, trigger["id"])
    assert platform["admin@globex"].get(f"/workflows/{other_workflow['id']}/runs")["items"] == []


def test_a_repeated_delivery_starts_one_run(platform: Platform) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    workflow = publish_workflow(client, {"event": {"source": [source]}})
    event = client.post("/events", {"source": source, "type": "LeadCreated", "data": {}})
    wait_for_runs(client, workflow, 1)
    (stored_event,) = platform.query("select * from email_sender.events where id = %s", UUID(event["id"]))
    platform.aws("events").put_events(
        Entries=[
            {
                "EventBusName": "email-sender-local",
                "Source": source,
                "DetailType": "LeadCreated",
                "Detail": json.dumps(stored_event["payload"]),
            }
        ]
    )
    time.sleep(2)
    wait_for_runs(client, workflow, 1)


def test_an_event_that_only_claims_a_tenant_starts_nothing(platform: Platform) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    workflow = publish_workflow(client, {"event": {"source": [source]}})
    (tenant,) = platform.query("select tenant_id from email_sender.workflows where id = %s", UUID(workflow["id"]))
    detail = {"id": str(uuid4()), "tenant_id": str(tenant["tenant_id"]), "data": {}}
    platform.aws("events").put_events(
        Entries=[
            {
                "EventBusName": "email-sender-local",
                "Source": source,
                "DetailType": "LeadCreated",
                "Detail": json.dumps(detail),
            }
        ]
    )
    time.sleep(3)
    wait_for_runs(client, workflow, 0)


def test_events_of_a_registered_system_and_of_the_platform_start_runs(platform: Platform) -> None:
    client, source = platform["user@acme"], f"shop-{uuid4().hex[:8]}"
    deleted_workflow = publish_workflow(client, {"webhook": {}})
    (row,) = platform.query("select tenant_id from email_sender.workflows where id = %s", UUID(deleted_workflow["id"]))
    _register_source(platform, row["tenant_id"], source)
    workflow = publish_workflow(client, {"event": {"source": [source]}})
    listening_workflow = publish_workflow(
        client, {"event": {"source": ["email_sender.workflows"], "detail-type": ["workflow.deleted"]}}
    )
    platform.aws("events").put_events(
        Entries=[
            {
                "EventBusName": "email-sender-local",
                "Source": source,
                "DetailType": "OrderPlaced",
                "Detail": json.dumps({"number": 7}),
            }
        ]
    )
    (run,) = wait_for_runs(client, workflow, 1)
    assert run["inputs"]["event"]["data"] == {"number": 7}
    client.http.delete(f"/workflows/{deleted_workflow['id']}").raise_for_status()
    (run,) = wait_for_runs(client, listening_workflow, 1)
    assert run["inputs"]["event"]["data"]["workflow_id"] == deleted_workflow["id"]
    client.http.delete(f"/workflows/{listening_workflow['id']}").raise_for_status()


def _register_source(platform: Platform, tenant: UUID, source: str) -> None:
    """Register an event source as an operator does (docs/guides/triggers.md)."""
    import psycopg

    with psycopg.connect(platform.cloud.database_url) as conn:
        conn.execute(
            "insert into email_sender.event_sources (tenant_id, account, source) values (%s, '000000000000', %s)",
            [tenant, source],
        )


def test_a_new_version_removes_dropped_triggers_and_keeps_the_webhook_address(platform: Platform) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    event = {"event": {"source": [source]}}
    workflow = publish_workflow(client, event, {"webhook": {}})
    before = {trigger["kind"]: trigger for trigger in list_triggers(client, workflow)}
    definition = {**workflow["definition"], "triggers": [{"webhook": {}}]}
    client.http.put(f"/workflows/{workflow['id']}", json={"definition": definition}).raise_for_status()
    assert [trigger["path"] for trigger in list_triggers(client, workflow)] == [before["webhook"]["path"]]
    rules = platform.aws("events").list_rules(EventBusName="email-sender-local")["Rules"]
    assert f"email-sender-local-{before['event']['id']}" not in {rule["Name"] for rule in rules}
    definition = {**workflow["definition"], "triggers": [event, {"webhook": {}}]}
    client.http.put(f"/workflows/{workflow['id']}", json={"definition": definition}).raise_for_status()
    client.post("/events", {"source": source, "type": "LeadCreated", "data": {}})
    wait_for_runs(client, workflow, 1)
    client.http.delete(f"/workflows/{workflow['id']}").raise_for_status()
    assert list_triggers(client, workflow) == []
    rules = platform.aws("events").list_rules(EventBusName="email-sender-local")["Rules"]
    assert f"email-sender-local-{before['event']['id']}" not in {rule["Name"] for rule in rules}


def test_a_failed_start_is_reported_by_its_trigger_and_by_an_event(platform: Platform) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    inputs = {"type": "object", "properties": {"event": {"type": "object", "properties": {"data": {"type": "null"}}}}}
    workflow = publish_workflow(client, {"event": {"source": [source]}}, inputs=inputs)
    client.post("/events", {"source": source, "type": "LeadCreated", "data": {"a": 1}})
    (trigger,) = wait_until(
        lambda: list_triggers(client, workflow), lambda triggers: triggers[0]["last_error"] is not None, 30
    )
    assert "inputs do not match" in trigger["last_error"]
    events = wait_until(
        lambda: client.get("/events", type="workflow.trigger.failed")["items"],
        lambda failure_events: any(event["payload"]["data"]["trigger_id"] == trigger["id"] for event in failure_events),
        30,
    )
    assert events


# ---- Webhooks --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def webhook_client(platform: Platform) -> WebhookClient:
    return WebhookClient.new(platform, "user@acme")


def test_a_signed_post_starts_one_run_and_its_result_can_be_read(webhook_client: WebhookClient) -> None:
    first = webhook_client.post({"lead": "Ann"}, "msg_1")
    assert first.status_code == 202, first.text
    repeated_response = webhook_client.post({"lead": "Ann"}, "msg_1")
    assert repeated_response.json()["run_id"] == first.json()["run_id"]
    result = wait_until(
        lambda: webhook_client.get(first.json()["result_path"]).json(),
        lambda current_result: current_result["status"] in api.ENDED,
        30,
    )
    assert (result["status"], result["error"]) == ("succeeded", None)
    runs = webhook_client.client.get(f"/workflows/{webhook_client.workflow['id']}/runs")["items"]
    assert [run["inputs"] for run in runs] == [{"lead": "Ann"}]


def test_only_a_valid_and_recent_signature_is_accepted(platform: Platform, webhook_client: WebhookClient) -> None:
    now, other_client = datetime.now(UTC), WebhookClient.new(platform, "admin@globex")
    responses = [
        webhook_client.post({}, secret=other_client.secret),
        webhook_client.post({}, at=now - timedelta(minutes=6)),
        webhook_client.post({}, at=now + timedelta(minutes=6)),
        webhook_client.post({}, webhook_id="another"),
        webhook_client.post({}, webhook_timestamp="NaN"),
        webhook_client.post({}, webhook_signature="v1"),
        webhook_client.post({}, webhook_signature="v1,%%%"),
        webhook_client.post({}, webhook_signature=""),
        httpx.post(webhook_client.base + webhook_client.trigger["path"], json={}),
        httpx.post(webhook_client.base + "/api/v1/hooks/nothing", json={}),
        httpx.post(webhook_client.base + "/api/v1/hooks/" + "A" * 43, json={}),
        httpx.get(webhook_client.base + webhook_client.trigger["path"] + f"/runs/{uuid4()}"),
    ]
    assert {response.status_code for response in responses} == {401}
    assert len({response.json()["detail"] for response in responses}) == 1
    foreign_run_id = webhook_client.post({"a": 1}).json()["run_id"]
    assert other_client.get(f"{other_client.trigger['path']}/runs/{foreign_run_id}").status_code == 404


@pytest.mark.parametrize("body", ["[]", "3", '"text"', "{", '{"a": NaN}', "[" * 3_000])
def test_a_signed_body_that_is_not_an_object_is_refused_with_a_reason(webhook_client: WebhookClient, body: str) -> None:
    response = webhook_client.post(body)
    assert response.status_code in (400, 422), response.text
    assert "body" in response.json()["detail"].lower()


@pytest.fixture(scope="module")
def hook_with_secret(platform: Platform) -> WebhookClient:
    client = platform["user@acme"]
    return WebhookClient(platform, client, publish_workflow(client, {"webhook": {"auth": "secret"}}))


def test_a_caller_that_cannot_sign_sends_the_secret(hook_with_secret: WebhookClient) -> None:
    caller, secret = hook_with_secret, hook_with_secret.secret
    responses = [
        caller.send(json={"n": 1}, params={"q": "a b"}, headers={"authorization": f"Bearer {secret}", "x-shop": "s"}),
        caller.send(data={"n": "2"}, auth=("anybody", secret)),
        caller.send("GET", params={"n": "3", "secret": secret}),
    ]
    assert [response.status_code for response in responses] == [202] * 3
    runs = [caller.client.get(f"/runs/{response.json()['run_id']}") for response in responses]
    assert {run["cause"] for run in runs} == {"webhook"}
    inputs = [run["inputs"] for run in runs]
    first = {"method": "POST", "query": {"q": "a b"}, "body": {"n": 1}}
    assert {name: inputs[0][name] for name in first} == first
    assert inputs[0]["headers"]["x-shop"] == "s"
    assert [(one["method"], one["query"], one["body"]) for one in inputs[1:]] == [
        ("POST", {}, {"n": "2"}),
        ("GET", {"n": "3"}, {}),
    ]
    assert secret not in json.dumps(inputs), "a secret does not become an input"
    result = caller.send("GET", f"/runs/{runs[0]['id']}", params={"secret": secret})
    assert (result.status_code, result.json()["run_id"]) == (200, runs[0]["id"])


def test_a_request_with_a_name_is_handled_once_and_others_each_time(hook_with_secret: WebhookClient) -> None:
    def started(**headers: str) -> str:
        bearer = {"authorization": f"Bearer {hook_with_secret.secret}"}
        return str(hook_with_secret.send(json={}, headers={**bearer, **headers}).json()["run_id"])

    assert started(**{"idempotency-key": "order-7"}) == started(**{"idempotency-key": "order-7"})
    assert started() != started()


def test_without_the_secret_nothing_starts(hook_with_secret: WebhookClient, webhook_client: WebhookClient) -> None:
    other = hook_with_secret.send("GET", params={"secret": webhook_client.secret})
    signed = hook_with_secret.post({"n": 1})
    # Who captured the signature of a result that was asked for cannot start a run with it.
    headers = webhook_client.signature_headers("", "msg_get", webhook_client.secret)
    by_get = webhook_client.send("GET", headers=headers)
    bearer = webhook_client.send(json={}, headers={"authorization": f"Bearer {webhook_client.secret}"})
    refused = (other, signed, by_get, bearer, hook_with_secret.send("GET"))
    assert [response.status_code for response in refused] == [401] * 5
    assert len({response.json()["detail"] for response in refused}) == 1
    by_post = webhook_client.send(headers=headers)
    assert (by_post.status_code, "empty" in by_post.text) == (422, True)


@pytest.mark.parametrize(
    "request_of_caller",
    [{"content": b"{", "headers": {"content-type": "application/json"}}, {"files": {"f": b"x"}}, {"content": b"\xff"}],
)
def test_a_body_that_cannot_be_read_is_refused_with_a_reason(
    hook_with_secret: WebhookClient, request_of_caller: dict[str, Any]
) -> None:
    response = hook_with_secret.send(params={"secret": hook_with_secret.secret}, **request_of_caller)
    assert response.status_code == 422
    assert "body" in response.text or "form" in response.text


def test_a_body_that_is_too_large_is_refused(webhook_client: WebhookClient) -> None:
    assert webhook_client.post({"text": "x" * 140_000}).status_code == 413


def test_inputs_that_violate_the_workflows_schema_are_named(platform: Platform) -> None:
    schema = {"type": "object", "required": ["lead"], "properties": {"lead": {"type": "string"}}}
    response = WebhookClient.new(platform, "user@acme", inputs=schema).post({"lead": 3})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/lead")


def test_the_old_secret_stays_valid_for_a_day_after_renewal(platform: Platform) -> None:
    rotating_client = WebhookClient.new(platform, "user@acme")
    first = rotating_client.secret
    rotating_client.secret = rotating_client.renew_secret()
    assert [rotating_client.post({}, secret=secret).status_code for secret in (first, rotating_client.secret)] == [
        202,
        202,
    ]
    second, rotating_client.secret = rotating_client.secret, rotating_client.renew_secret()
    assert [
        rotating_client.post({}, secret=secret).status_code for secret in (first, second, rotating_client.secret)
    ] == [401, 202, 202]
    rows = platform.query(
        "select secret_enc from email_sender.triggers where id = %s", UUID(rotating_client.trigger["id"])
    )
    assert rotating_client.secret.encode() not in bytes(rows[0]["secret_enc"])


def test_a_schedule_starts_runs_in_its_time_zone_with_the_scheduled_time(
    platform: Platform, scheduled_workflow: api.Json
) -> None:
    client = platform["user@acme"]
    path = f"/workflows/{scheduled_workflow['id']}/runs"
    runs = wait_until(lambda: client.get(path)["items"], lambda items: len(items) >= 1, 90)
    client.http.delete(f"/workflows/{scheduled_workflow['id']}").raise_for_status()
    inputs = runs[0]["inputs"]
    assert inputs["greeting"] == "hello"
    scheduled_at = datetime.fromisoformat(inputs["schedule"]["time"])
    assert (scheduled_at.second, abs(datetime.now(UTC) - scheduled_at) < timedelta(minutes=3)) == (0, True)
    names = [schedule["Name"] for schedule in platform.aws("scheduler").list_schedules()["Schedules"]]
    assert f"email-sender-local-{runs[0]['trigger_id']}" not in names
