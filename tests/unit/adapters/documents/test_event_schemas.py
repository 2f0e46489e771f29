"""Tests for event schemas, the event envelope, and who may use which source and type."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from email_sender.adapters.documents import event_schemas
from email_sender.coordination.events import Event
from email_sender.coordination.tenant_events import build_tenant_event
from email_sender.errors import InvalidInput
from email_sender.kit.system_clock import new_id

FILES = sorted(event_schemas.FOLDER.glob("*.json"))
TYPES = [file for file in FILES if file.stem != "envelope"]
AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


def unsubscribed_detail() -> dict[str, Any]:
    contact = str(new_id())
    return Event(
        new_id(), "contact.unsubscribed", "messaging", new_id(), contact, AT, {"contact_id": contact}
    ).detail()  # fmt: skip


def test_there_are_more_than_twenty_event_schemas() -> None:
    assert len(TYPES) > 20


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_is_a_valid_draft_2020_12_schema(file: Path) -> None:
    schema = json.loads(file.read_bytes())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("file", TYPES, ids=lambda file: file.stem)
def test_each_schema_accepts_only_its_own_type_and_known_data(file: Path) -> None:
    schema = json.loads(file.read_bytes())
    assert schema["properties"]["type"] == {"const": file.stem}
    assert schema["properties"]["data"]["additionalProperties"] is False
    with pytest.raises(InvalidInput):
        event_schemas.validate_event({**unsubscribed_detail(), "type": file.stem, "data": {"surprise": 1}}, file.stem)


def test_a_platform_event_carries_the_whole_envelope() -> None:
    event = Event(new_id(), "run.started", "workflows", new_id(), "a", AT, {"x": 1}, "c", "d", 1)
    assert (event.source, event.is_ours) == ("email_sender.workflows", True)
    assert event.detail() == {
        "id": str(event.id), "type": "run.started", "version": 1, "tenant_id": str(event.tenant_id),
        "aggregate_id": "a", "occurred_at": "2026-05-04T12:00:00+00:00", "correlation_id": "c", "causation_id": "d",
        "priority": 1, "data": {"x": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"priority": 4}, {"priority": -1}, {"aggregate_id": ""}, {"aggregate_id": "x" * 129},
        {"data": []}, {"correlation_id": 1}, {"surprise": 1}, {"type": "run.started"},
    ],
)  # fmt: skip
def test_an_envelope_that_violates_its_schema_is_rejected(change: dict[str, Any]) -> None:
    detail = unsubscribed_detail()
    event_schemas.validate_event(detail, "contact.unsubscribed")
    with pytest.raises(InvalidInput):
        event_schemas.validate_event({**detail, **change}, "contact.unsubscribed")


@pytest.mark.parametrize("key", ["id", "type", "tenant_id", "aggregate_id", "occurred_at", "priority", "data"])
def test_an_envelope_without_a_required_key_is_rejected(key: str) -> None:
    detail = unsubscribed_detail()
    del detail[key]
    with pytest.raises(InvalidInput):
        event_schemas.validate_event(detail, "contact.unsubscribed")


@pytest.mark.parametrize("name", ["", "nothing", "../schemas/envelope", "../../../etc/passwd", "run/started", "\0"])
def test_an_unknown_type_is_rejected_and_no_path_is_followed(name: str) -> None:
    with pytest.raises(InvalidInput):
        event_schemas.validate_event(unsubscribed_detail(), name)


@pytest.mark.parametrize("source", ["crm", "a", "shop.orders", "0-9_x", "a" * 200])
@pytest.mark.parametrize("kind", ["LeadCreated", "lead created", "emailed", "a" * 128])
def test_an_application_publishes_under_its_own_source_and_type(source: str, kind: str) -> None:
    event = build_tenant_event(new_id(), new_id(), source, kind, {"n": 1}, AT, "c-1")
    assert (event.source, event.type, event.is_ours, event.correlation_id) == (source, kind, False, "c-1")
    event_schemas.validate_event(event.detail(), "envelope")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "email_sender",
        "email_sender.messaging",
        "email_senders",
        "aws.s3",
        "CRM",
        ".crm",
        "a b",
        "a\n",
        "a" * 201,
        "é",
    ],
)
def test_a_reserved_or_malformed_source_is_rejected(source: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build_tenant_event(new_id(), new_id(), source, "LeadCreated", {}, AT)
    assert caught.value.problems[0].pointer == "/source"


@pytest.mark.parametrize("kind", ["", " x", "a/b", "a\n", "a" * 129, "é", *(file.stem for file in TYPES)])
def test_a_reserved_or_malformed_type_is_rejected(kind: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build_tenant_event(new_id(), new_id(), "crm", kind, {}, AT)
    assert caught.value.problems[0].pointer == "/type"
