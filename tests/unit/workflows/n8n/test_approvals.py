"""Tests for n8n nodes that send a message and wait for a person's decision."""

from typing import Any

import pytest

from tests.unit.workflows.n8n.samples import conversions, export, import_and_parse, items_in, node, run

ASK = {"operation": "sendAndWait", "message": "=Write to {{ $json.name }}?"}


@pytest.mark.parametrize("decision", ["approved", "denied"])
@pytest.mark.parametrize("kind", ["gmail", "slack", "telegram", "discord", "whatsApp", "emailSend"])
def test_a_person_decides_in_the_console(kind: str, decision: str) -> None:
    raw = export(node("Ask", kind, ASK), node("Keep", "noOp"))
    approvals: list[Any] = []

    def respond(call: dict[str, Any]) -> Any:
        if call["action"] != "approval":
            return call["with"]
        approvals.append(call["with"])
        return {"decision": decision, "approval_id": "a-1"}

    outcome = run(raw, respond)
    assert outcome.status == "SUCCEEDED", outcome
    assert [approval["title"] for approval in approvals] == ["Write to Ada?"]
    assert items_in(outcome, "keep") == [{"data": {"approved": decision == "approved"}}]
    assert conversions(raw)["Ask"] == "approximated"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "PT60M"),
        ({"resumeAmount": 3, "resumeUnit": "days"}, "PT4320M"),
        (None, "PT43200M"),
        ({"resumeAmount": 400, "resumeUnit": "days"}, "PT524160M"),
    ],
)
def test_an_approval_ends_when_the_node_would_have_stopped_waiting(values: Any, expected: str) -> None:
    options = {} if values is None else {"limitWaitTime": {"values": values}}
    definition = import_and_parse(export(node("Ask", "slack", {**ASK, "options": options}))).definition
    (approval,) = [step for step in definition["steps"] if step["uses"] == "approval"]
    assert (approval["with"]["timeout"], approval["with"]["on_timeout"]) == (expected, "denied")
    assert definition["settings"] == {"timeout": "P365D"}, "the run waits as long"


@pytest.mark.parametrize(
    "parameters",
    [
        {"responseType": "freeText"},
        {"responseType": "customForm"},
        {"options": {"limitWaitTime": {"values": {"limitType": "atSpecifiedTime"}}}},
        {"options": {"limitWaitTime": {"values": {"resumeAmount": "={{ 3 }}"}}}},
    ],
)
def test_other_answers_than_an_approval_are_not_supported(parameters: Any) -> None:
    assert conversions(export(node("Ask", "slack", {**ASK, **parameters})))["Ask"] == "unsupported"
