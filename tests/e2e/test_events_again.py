"""What failed is found, understood and sent back; what was missed is told again; who has to know is told."""

import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import ApiError, wait_until
from tests.conftest import Platform
from tests.e2e import steps
from tests.e2e.test_bus import queue_of
from tests.e2e.test_triggers import published, runs_of


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


def failed(platform: Platform, **query: str) -> list[steps.Json]:
    return list(platform["operator@platform"].get("/events/failed", limit=200, **query)["items"])


def test_what_a_queue_gave_up_on_is_found_with_its_reason_and_sent_back(platform: Platform) -> None:
    operator, kind = platform["operator@platform"], f"Lost{uuid4().hex[:8]}"
    platform.aws("sqs").send_message(
        QueueUrl=queue_of(platform, "RecorderDeadLetters"),
        MessageBody=envelope(kind, {"secret": "of a tenant"}),
        MessageAttributes={"reason": {"DataType": "String", "StringValue": "unavailable: No answer."}},
    )

    def found() -> list[steps.Json]:
        return [each for each in failed(platform, consumer="recorder") if each["event"].get("detail-type") == kind]

    (one,) = wait_until(found, bool, 30)
    assert (one["reason"], one["status"], one["times"]) == ("unavailable: No answer.", "failed", 1)
    assert "of a tenant" not in json.dumps(one)
    assert one["event"]["hidden"] == ["secret"]
    wait_until(lambda: operator.get("/managers/error-manager/status")["status"], lambda seen: seen == "degraded", 10)
    dry = operator.post("/events/failed/redrive", {"ids": [one["id"]], "dry_run": True})
    assert dry == {"matched": 1, "redriven": []}
    sent = operator.post("/events/failed/redrive", {"ids": [one["id"]]})
    assert sent == {"matched": 1, "redriven": [one["id"]]}
    assert operator.post("/events/failed/redrive", {"ids": [one["id"]]})["matched"] == 0
    (told,) = [each for each in operator.get("/audit")["items"] if one["id"] in each["details"].get("ids", [])]
    assert (told["action"], told["details"]["which"], told["details"]["sent"]) == (
        "events.redrive",
        "ids",
        {"recorder": 1},
    )
    wait_until(lambda: operator.get("/events", type=kind)["items"], lambda items: len(items) == 1, 30)
    assert [each["id"] for each in failed(platform, status="redriven")].count(one["id"]) == 1


def test_the_last_try_says_why(platform: Platform) -> None:
    """As SQS would call it for the fifth time."""
    body = f"no json {uuid4()}"
    record = {
        "messageId": "m", "receiptHandle": "h", "body": body, "messageAttributes": {}, "md5OfBody": "",
        "attributes": {"ApproximateReceiveCount": "5", "SentTimestamp": "1795219200000"},
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:mail", "awsRegion": "us-east-1",
    }  # fmt: skip
    answer = platform.aws("lambda").invoke(
        FunctionName=platform.function("MailEventsFunction"), Payload=json.dumps({"Records": [record]}).encode()
    )
    assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}
    (one,) = wait_until(
        lambda: [each for each in failed(platform, consumer="mail") if each["event"] == unreadable(body)], bool, 30
    )
    assert one["reason"] == "invalid_input: Not an event this queue is for."


def unreadable(body: str) -> steps.Json:
    return {"unreadable": True, "characters": len(body)}


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 422), ({"all": True, "ids": [str(uuid4())]}, 422), ({"consumer": "nobody"}, 422), ({"ids": ["x"]}, 422)],
)
def test_a_redrive_says_which_or_is_refused(platform: Platform, body: Any, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        platform["operator@platform"].post("/events/failed/redrive", body)
    assert refused.value.status == status


def test_an_event_is_told_again_to_chosen_consumers_and_does_only_what_was_missed(platform: Platform) -> None:
    """A trigger that was made too late."""
    user, operator = platform["user@acme"], platform["operator@platform"]
    source, kind = f"crm-{uuid4().hex[:8]}", f"Lead{uuid4().hex[:8]}"
    since = datetime.now(UTC) - timedelta(seconds=5)
    for size in (1, 5):
        user.post("/events", {"source": source, "type": kind, "data": {"size": size}})
    wait_until(lambda: user.get("/events", type=kind)["items"], lambda items: len(items) == 2, 30)
    pattern = {"source": [source], "detail-type": [kind], "detail": {"data": {"size": [{"numeric": [">", 3]}]}}}
    workflow = published(user, {"event": pattern})
    wanted: steps.Json = {
        "from": since.isoformat(), "to": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(), "types": [kind],
        "consumers": ["triggers", "answers"],
    }  # fmt: skip
    with pytest.raises(ApiError, match="may send mail") as refused:
        operator.post("/events/replay", wanted)
    assert refused.value.status == 409
    dry = operator.post("/events/replay", {**wanted, "force": True, "dry_run": True})
    assert dry == {"events": 2, "messages": {"triggers": 1, "answers": 0}, "next_cursor": None}
    for _ in range(3):
        operator.post("/events/replay", {**wanted, "force": True})
    (run,) = runs_of(user, workflow, 1)
    assert steps.wait_run(user, run["id"])["status"] == "succeeded"
    # Neither recorded again nor given to anybody else.
    assert len(user.get("/events", type=kind)["items"]) == 2
    other = platform["admin@globex"]
    assert (
        operator.post("/events/replay", {**wanted, "force": True, "of_tenant": other_tenant(platform)})["events"] == 0
    )
    assert other.get("/events", type=kind)["items"] == []
    # What was asked for, and neither what was refused nor what was only counted.
    told = [each["details"] for each in operator.get("/audit")["items"] if each["details"].get("types") == [kind]]
    assert [(each["events"], each["messages"], each["force"]) for each in told] == [
        (0, {"triggers": 0, "answers": 0}, True),
        *[(2, {"triggers": 1, "answers": 0}, True)] * 3,
    ]


def other_tenant(platform: Platform) -> str:
    return next(user.tenant_id for user in platform.users if user.tenant == "globex")


@pytest.mark.parametrize(
    "change", [{"to": "2020-01-01T00:00:00Z"}, {"consumers": ["recorder"]}, {"consumers": []}, {"from": "yesterday"}]
)
def test_a_replay_of_nothing_that_is_there_is_refused(platform: Platform, change: steps.Json) -> None:
    body = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "consumers": ["answers"], **change}
    with pytest.raises(ApiError) as refused:
        platform["operator@platform"].post("/events/replay", body)
    assert refused.value.status == 422


def mails_to(platform: Platform, address: str) -> list[Any]:
    stored = [each["id"] for each in httpx.get(platform.mail, timeout=10).json() if address in json.dumps(each)]
    raw = [httpx.get(f"{platform.mail}/{each}", timeout=10).content for each in stored]
    return [message_from_bytes(each, policy=default) for each in raw]


def test_who_asks_is_heard_by_its_tenants_channels_and_repeats_are_folded(platform: Platform) -> None:
    admin, address = platform["admin@acme"], f"{uuid4().hex}@people.example"
    channel = admin.post("/notifications/channels", {"name": uuid4().hex, "kind": "mail", "address": address})
    title = f"Orders wait {uuid4().hex[:8]}"
    for _ in range(4):
        platform["user@acme"].post("/events", {"source": "shop", "type": "notify", "data": {"title": title}})
    (mail,) = wait_until(lambda: mails_to(platform, address), bool, 30)
    assert mail["subject"] == f"[info] {title}"
    assert mail["from"] == "Acme Support <support@acme.example>"

    def counted() -> int:
        listed = admin.get("/notifications", limit=50)["items"]
        return next((each["count"] for each in listed if each["title"] == title), 0)

    wait_until(counted, lambda count: count == 4, 30)
    assert len(mails_to(platform, address)) == 1
    assert title not in json.dumps(platform["admin@globex"].get("/notifications", limit=200))
    with pytest.raises(ApiError) as refused:
        platform["user@acme"].post("/events", {"source": "shop", "type": "notify", "data": {"text": "no title"}})
    assert refused.value.status == 422
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
def test_a_channel_that_cannot_work_is_refused(platform: Platform, body: Any) -> None:
    with pytest.raises(ApiError) as refused:
        platform["admin@acme"].post("/notifications/channels", body)
    assert refused.value.status == 422


def test_operators_are_written_to_when_a_manager_fails(platform: Platform) -> None:
    operator, address = platform["operator@platform"], f"{uuid4().hex}@people.example"
    channel = operator.post(
        "/notifications/channels", {"name": "night", "kind": "mail", "min_level": "critical", "address": address}
    )
    pid = platform.cloud.pid("qdrant")
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        path = "/managers/vectorization/status"
        wait_until(lambda: operator.get(path)["status"], lambda status: status == "failed", 10)
        assert time.monotonic() - began < 10
    finally:
        os.kill(pid, signal.SIGCONT)
    (mail,) = wait_until(lambda: mails_to(platform, address), bool, 30)
    assert mail["subject"] == "[critical] The vectorization does not work"
    wait_until(lambda: operator.get("/managers/vectorization/status")["status"], lambda status: status == "running", 10)
    operator.http.delete(f"/notifications/channels/{channel['id']}").raise_for_status()
