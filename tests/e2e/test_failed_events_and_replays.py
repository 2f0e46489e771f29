"""Failed events are listed and redriven, missed events are replayed, and channels are notified."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import ApiError, wait_until
from tests.conftest import Platform
from tests.e2e import api
from tests.e2e.test_bus import queue_url
from tests.e2e.webhook_client import publish_workflow, wait_for_runs

pytestmark = [pytest.mark.kills]


def envelope(kind: str, detail: Any, source: str = "crm") -> str:
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid4()),
            "detail-type": kind,
            "source": source,
            "account": "000000000000",
            "time": datetime.now(UTC).isoformat(),
            "region": "us-east-1",
            "resources": [],
            "detail": detail,
        }
    )


def failed_events(platform: Platform, **query: str) -> list[api.Json]:
    return list(platform["operator@platform"].get("/events/failed", limit=200, **query)["items"])


def test_a_dead_letter_is_listed_with_its_reason_and_redriven(platform: Platform) -> None:
    operator, kind = platform["operator@platform"], f"Lost{uuid4().hex[:8]}"
    platform.aws("sqs").send_message(
        QueueUrl=queue_url(platform, "RecorderDeadLetters"),
        MessageBody=envelope(kind, {"secret": "of a tenant"}),
        MessageAttributes={"reason": {"DataType": "String", "StringValue": "unavailable: No answer."}},
    )

    def find_failed() -> list[api.Json]:
        return [
            entry for entry in failed_events(platform, consumer="recorder") if entry["event"].get("detail-type") == kind
        ]

    (failed_event,) = wait_until(find_failed, bool, 30)
    assert (failed_event["reason"], failed_event["status"], failed_event["times"]) == (
        "unavailable: No answer.",
        "failed",
        1,
    )
    assert "of a tenant" not in json.dumps(failed_event)
    assert failed_event["event"]["hidden"] == ["secret"]
    wait_until(
        lambda: operator.get("/managers/error-manager/status")["status"], lambda status: status == "degraded", 10
    )
    dry_run = operator.post("/events/failed/redrive", {"ids": [failed_event["id"]], "dry_run": True})
    assert dry_run == {"matched": 1, "redriven": []}
    redrive = operator.post("/events/failed/redrive", {"ids": [failed_event["id"]]})
    assert redrive == {"matched": 1, "redriven": [failed_event["id"]]}
    assert operator.post("/events/failed/redrive", {"ids": [failed_event["id"]]})["matched"] == 0
    (audit_entry,) = [
        entry for entry in operator.get("/audit")["items"] if failed_event["id"] in entry["details"].get("ids", [])
    ]
    assert (audit_entry["action"], audit_entry["details"]["which"], audit_entry["details"]["sent"]) == (
        "events.redrive",
        "ids",
        {"recorder": 1},
    )
    wait_until(lambda: operator.get("/events", type=kind)["items"], lambda items: len(items) == 1, 30)
    assert [entry["id"] for entry in failed_events(platform, status="redriven")].count(failed_event["id"]) == 1


def test_the_reason_of_the_last_attempt_is_stored(platform: Platform) -> None:
    """Invoke the function as SQS does at the fifth attempt."""
    body = f"no json {uuid4()}"
    record = {
        "messageId": "m", "receiptHandle": "h", "body": body, "messageAttributes": {}, "md5OfBody": "",
        "attributes": {"ApproximateReceiveCount": "5", "SentTimestamp": "1795219200000"},
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:mail", "awsRegion": "us-east-1",
    }  # fmt: skip
    response = platform.aws("lambda").invoke(
        FunctionName=platform.function_name("MailEventsFunction"), Payload=json.dumps({"Records": [record]}).encode()
    )
    assert json.loads(response["Payload"].read()) == {"batchItemFailures": []}
    (failed_event,) = wait_until(
        lambda: [
            entry for entry in failed_events(platform, consumer="mail") if entry["event"] == unreadable_event(body)
        ],
        bool,
        30,
    )
    assert failed_event["reason"] == "invalid_input: The message is not an event that this queue accepts."


def unreadable_event(body: str) -> api.Json:
    return {"unreadable": True, "characters": len(body)}


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 422), ({"all": True, "ids": [str(uuid4())]}, 422), ({"consumer": "nobody"}, 422), ({"ids": ["x"]}, 422)],
)
def test_a_redrive_without_a_valid_selection_is_refused(platform: Platform, body: Any, status: int) -> None:
    with pytest.raises(ApiError) as error:
        platform["operator@platform"].post("/events/failed/redrive", body)
    assert error.value.status == status


def test_a_replay_sends_events_to_the_named_consumers_which_do_only_missed_work(platform: Platform) -> None:
    """The trigger is created after the events."""
    user, operator = platform["user@acme"], platform["operator@platform"]
    source, kind = f"crm-{uuid4().hex[:8]}", f"Lead{uuid4().hex[:8]}"
    since = datetime.now(UTC) - timedelta(seconds=5)
    for size in (1, 5):
        user.post("/events", {"source": source, "type": kind, "data": {"size": size}})
    wait_until(lambda: user.get("/events", type=kind)["items"], lambda items: len(items) == 2, 30)
    pattern = {"source": [source], "detail-type": [kind], "detail": {"data": {"size": [{"numeric": [">", 3]}]}}}
    workflow = publish_workflow(user, {"event": pattern})
    request: api.Json = {
        "from": since.isoformat(), "to": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(), "types": [kind],
        "consumers": ["triggers", "answers"],
    }  # fmt: skip
    with pytest.raises(ApiError, match="may send mail") as error:
        operator.post("/events/replay", request)
    assert error.value.status == 409
    dry_run = operator.post("/events/replay", {**request, "force": True, "dry_run": True})
    assert dry_run == {"events": 2, "messages": {"triggers": 1, "answers": 0}, "next_cursor": None}
    for _ in range(3):
        operator.post("/events/replay", {**request, "force": True})
    (run,) = wait_for_runs(user, workflow, 1)
    assert api.wait_for_run(user, run["id"])["status"] == "succeeded"
    # The events are neither recorded again nor sent to another tenant.
    assert len(user.get("/events", type=kind)["items"]) == 2
    other_admin = platform["admin@globex"]
    assert (
        operator.post("/events/replay", {**request, "force": True, "of_tenant": other_tenant_id(platform)})["events"]
        == 0
    )
    assert other_admin.get("/events", type=kind)["items"] == []
    # The audit log holds the executed replays, not the refused one or the dry run.
    audit_details = [
        entry["details"] for entry in operator.get("/audit")["items"] if entry["details"].get("types") == [kind]
    ]
    assert [(details["events"], details["messages"], details["force"]) for details in audit_details] == [
        (0, {"triggers": 0, "answers": 0}, True),
        *[(2, {"triggers": 1, "answers": 0}, True)] * 3,
    ]


def other_tenant_id(platform: Platform) -> str:
    return next(user.tenant_id for user in platform.users if user.tenant == "globex")


@pytest.mark.parametrize(
    "change", [{"to": "2020-01-01T00:00:00Z"}, {"consumers": ["recorder"]}, {"consumers": []}, {"from": "yesterday"}]
)
def test_an_invalid_replay_is_refused(platform: Platform, change: api.Json) -> None:
    body = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "consumers": ["answers"], **change}
    with pytest.raises(ApiError) as error:
        platform["operator@platform"].post("/events/replay", body)
    assert error.value.status == 422


def mails_to(platform: Platform, address: str) -> list[Any]:
    message_ids = [
        message["id"] for message in httpx.get(platform.mail_url, timeout=10).json() if address in json.dumps(message)
    ]
    raw_mails = [httpx.get(f"{platform.mail_url}/{message_id}", timeout=10).content for message_id in message_ids]
    return [message_from_bytes(raw_mail, policy=default) for raw_mail in raw_mails]


def test_a_notify_event_reaches_the_tenants_channels_and_repeats_are_folded(platform: Platform) -> None:
    admin, address = platform["admin@acme"], f"{uuid4().hex}@people.example"
    channel = admin.post("/notifications/channels", {"name": uuid4().hex, "kind": "mail", "address": address})
    title = f"Orders wait {uuid4().hex[:8]}"
    for _ in range(4):
        platform["user@acme"].post("/events", {"source": "shop", "type": "notify", "data": {"title": title}})
    (mail,) = wait_until(lambda: mails_to(platform, address), bool, 30)
    assert mail["subject"] == f"[info] {title}"
    assert mail["from"] == "Acme Support <support@acme.example>"

    def notification_count() -> int:
        notifications = admin.get("/notifications", limit=50)["items"]
        return next((notification["count"] for notification in notifications if notification["title"] == title), 0)

    wait_until(notification_count, lambda count: count == 4, 30)
    assert len(mails_to(platform, address)) == 1
    assert title not in json.dumps(platform["admin@globex"].get("/notifications", limit=200))
    with pytest.raises(ApiError) as error:
        platform["user@acme"].post("/events", {"source": "shop", "type": "notify", "data": {"text": "no title"}})
    assert error.value.status == 422
    admin.http.delete(f"/notifications/channels/{channel['id']}").raise_for_status()


@pytest.mark.parametrize(
    "body",
    [
        {"name": "n", "kind": "mail"},
        {"name": "n", "kind": "mail", "address": "nobody"},
        {"name": "n", "kind": "webhook", "url": "http://plain.example/"},
        {"name": "n", "kind": "log", "url": "https://x.example"},
        {"name": "", "kind": "log"},
        {"name": "n", "kind": "pigeon"},
    ],
)
def test_an_invalid_channel_is_refused(platform: Platform, body: Any) -> None:
    with pytest.raises(ApiError) as error:
        platform["admin@acme"].post("/notifications/channels", body)
    assert error.value.status == 422


def test_operators_get_a_mail_when_a_manager_fails(platform: Platform) -> None:
    operator, address = platform["operator@platform"], f"{uuid4().hex}@people.example"
    channel = operator.post(
        "/notifications/channels", {"name": "night", "kind": "mail", "min_level": "critical", "address": address}
    )
    pid = platform.cloud.pid("qdrant")
    os.kill(pid, signal.SIGSTOP)
    try:
        path = "/managers/vectorization/status"
        wait_until(lambda: operator.get(path)["status"], lambda status: status == "failed", 30)
    finally:
        os.kill(pid, signal.SIGCONT)
    (mail,) = wait_until(lambda: mails_to(platform, address), bool, 30)
    assert mail["subject"] == "[critical] The vectorization does not work"
    wait_until(lambda: operator.get("/managers/vectorization/status")["status"], lambda status: status == "running", 10)
    operator.http.delete(f"/notifications/channels/{channel['id']}").raise_for_status()
