"""Which tenant an event on the bus belongs to, and which sources are reserved."""

import json
import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from local.client import ApiError, wait_until
from tests.conftest import Platform
from tests.e2e import api
from tests.e2e.event_publishers import EVENTS, ForeignEventStream
from tests.e2e.process_kills import kill_function_processes

pytestmark = [pytest.mark.kills]

ACCOUNT = "000000000000"


def put_event(platform: Platform, source: str, kind: str, detail: dict[str, Any]) -> None:
    response = platform.aws("events").put_events(
        Entries=[
            {
                "EventBusName": platform.cloud.outputs["BusName"],
                "Source": source,
                "DetailType": kind,
                "Detail": json.dumps(detail),
            }
        ]
    )
    assert response["FailedEntryCount"] == 0


def test_every_foreign_event_is_stored_once_while_recorder_and_postgresql_are_killed(platform: Platform) -> None:
    """The emulator itself is not killed: an event that it accepted and lost would not be our loss."""
    sqs, queue = platform.aws("sqs"), queue_url(platform, "RecorderQueue")
    # A batch of a killed recorder becomes visible again after this time; the template sets a minute.
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "5"})
    with ForeignEventStream(platform, EVENTS) as stream:
        for part in ("workers", "postgres", "workers"):
            time.sleep(1)
            if part == "workers":
                kill_function_processes(platform)
            else:
                os.kill(platform.cloud.pid(part), signal.SIGKILL)
    assert len(stream.published_ids) == EVENTS
    wait_until(lambda: len(stream.count_recorded()), lambda count: count >= EVENTS, 240)
    assert stream.count_recorded() == Counter(stream.published_ids)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "60"})


def queue_url(platform: Platform, logical_id: str) -> str:
    response = platform.aws("cloudformation").describe_stack_resource(
        StackName="email-sender-local", LogicalResourceId=logical_id
    )
    return str(response["StackResourceDetail"]["PhysicalResourceId"])


def recorded_events(platform: Platform, username: str, kind: str) -> list[api.Json]:
    return list(platform[username].get("/events", type=kind, limit=200)["items"])


@pytest.mark.parametrize("source", ["crm", "email_sender.messaging"])
def test_a_foreign_event_that_claims_a_tenant_belongs_to_the_platform(platform: Platform, source: str) -> None:
    kind = f"Claim{uuid4().hex[:8]}"
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "acme")
    claim = {
        "id": str(uuid4()),
        "type": "email.sent",
        "version": 1,
        "tenant_id": tenant,
        "aggregate_id": "x",
        "sequence": 1,
        "occurred_at": datetime.now(UTC).isoformat(),
        "data": {},
    }
    put_event(platform, source, kind, claim)
    (event,) = wait_until(lambda: recorded_events(platform, "operator@platform", kind), bool, 30)
    assert event["payload"] == claim
    assert event["source"] == source
    assert event["id"] != claim["id"]
    assert recorded_events(platform, "admin@acme", kind) == []
    assert recorded_events(platform, "admin@globex", kind) == []


def test_an_event_of_a_registered_source_belongs_to_its_tenant_whatever_tenant_it_names(platform: Platform) -> None:
    source, kind = f"shop-{uuid4().hex[:8]}", f"Order{uuid4().hex[:8]}"
    tenants = {user.tenant: user.tenant_id for user in platform.users}
    with psycopg.connect(platform.cloud.database_url) as conn:
        conn.execute(
            "insert into email_sender.event_sources (account, source, tenant_id) values (%s, %s, %s)",
            [ACCOUNT, source, tenants["globex"]],
        )
    put_event(platform, source, kind, {"tenant_id": tenants["acme"], "text": "a \u0000 is no trouble"})
    (event,) = wait_until(lambda: recorded_events(platform, "readonly@globex", kind), bool, 30)
    assert event["payload"]["tenant_id"] == tenants["acme"]
    assert recorded_events(platform, "admin@acme", kind) == []


def test_a_tenants_own_event_is_published_and_recorded_once(platform: Platform) -> None:
    kind = f"Lead{uuid4().hex[:8]}"
    published_event = platform["user@acme"].post("/events", {"source": "crm", "type": kind, "data": {"name": "x"}})
    (event,) = wait_until(lambda: recorded_events(platform, "user@acme", kind), bool, 30)
    assert event["id"] == published_event["id"]
    assert event["payload"]["data"] == {"name": "x"}
    assert recorded_events(platform, "admin@globex", kind) == []


@pytest.mark.parametrize(
    "body",
    [
        {"source": "email_sender.messaging", "type": "Mine"},
        {"source": "email_sender", "type": "Mine"},
        {"source": "aws.ses", "type": "Mine"},
        {"source": "crm", "type": "email.sent"},
        {"source": "CRM", "type": "Mine"},
        {"source": "crm", "type": "Mine", "tenant_id": "01930000-0000-7000-8000-00000000000b"},
    ],
)
def test_reserved_sources_and_types_and_another_tenant_are_refused(platform: Platform, body: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as error:
        platform["admin@acme"].post("/events", body)
    assert error.value.status == 422


def test_the_operator_cannot_read_events_of_tenants(platform: Platform) -> None:
    kind = f"Private{uuid4().hex[:8]}"
    platform["user@acme"].post("/events", {"source": "crm", "type": kind, "data": {}})
    wait_until(lambda: recorded_events(platform, "user@acme", kind), bool, 30)
    assert recorded_events(platform, "operator@platform", kind) == []


def test_the_outbox_is_empty_when_every_event_is_recorded(platform: Platform) -> None:
    remaining = wait_until(
        lambda: platform.query("select type, attempts from email_sender.outbox"), lambda rows: not rows, 30
    )
    assert remaining == []
