"""Importing nodes that send mail: drafts, an approval, and emails."""

from typing import Any

import pytest

from tests.unit.workflows.n8n.samples import conversions, export, import_and_parse, node, run

SEND = {"sendTo": "={{ $json.name }}@x.example, b@x.example", "subject": "=Hi {{ $json.name }}"}
HTML = SEND | {"message": "=<p>Dear {{ $json.name }} &amp; co</p><p>bye</p>"}


def sent(raw: dict[str, Any], decision: str = "approved") -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run an import. Return what was rendered, and what was sent."""
    rendered: list[dict[str, Any]] = []
    emails: list[dict[str, Any]] = []

    def respond(call: dict[str, Any]) -> Any:
        if call["action"] == "template.render":
            rendered.append(call["with"])
            return {"draft_id": f"d{len(rendered)}", "contact_id": "c", "sha256": "x"}
        if call["action"] == "approval":
            drafts = [draft["draft_id"] for draft in call["with"]["drafts"]]
            assert drafts == [f"d{number + 1}" for number in range(len(rendered))]
            return {"decision": decision}
        emails.append(call["with"])
        return {"email_id": f"e{len(emails)}", "status": "sent"}

    outcome = run(raw, respond)
    assert outcome.status == "SUCCEEDED", outcome
    return rendered, emails


def test_each_address_of_each_item_gets_a_draft_and_after_the_approval_an_email() -> None:
    rendered, emails = sent(export(node("Send", "gmail", HTML, typeVersion=2.1)))
    assert [one["contact"] for one in rendered] == ["Ada@x.example", "b@x.example", "Bob@x.example", "b@x.example"]
    assert rendered[0]["template"] == "n8n html"
    assert rendered[0]["variables"] == {
        "subject": "Hi Ada", "text": "Dear Ada & co\n\nbye", "html": "<p>Dear Ada &amp; co</p><p>bye</p>"
    }  # fmt: skip
    assert emails == [{"draft": f"d{number}"} for number in (1, 2, 3, 4)]


def test_a_denial_sends_nothing() -> None:
    rendered, emails = sent(export(node("Send", "gmail", HTML, typeVersion=2.1)), "denied")
    assert (len(rendered), emails) == (4, [])


@pytest.mark.parametrize(
    ("kind", "version", "parameters", "template", "text"),
    [
        ("gmail", 2.1, {"emailType": "text", "message": "a <b>"}, "n8n text", "a <b>"),
        ("gmail", 1, {"toList": "a@x.example", "message": "plain"}, "n8n text", "plain"),
        ("emailSend", 2.1, {"toEmail": "a@x.example", "html": "<i>x</i>"}, "n8n html", "x"),
        ("emailSend", 2.1, {"toEmail": "a@x.example", "emailFormat": "text", "text": "t"}, "n8n text", "t"),
        ("emailSend", 1, {"toEmail": "a@x.example", "text": "t"}, "n8n text", "t"),
    ],
)
def test_the_mail_is_text_or_html_as_the_node_says(
    kind: str, version: float, parameters: dict[str, Any], template: str, text: str
) -> None:
    raw = export(node("Send", kind, SEND | parameters, typeVersion=version))
    rendered, _ = sent(raw)
    assert (rendered[0]["template"], rendered[0]["variables"]["text"]) == (template, text)
    assert [one["name"] for one in import_and_parse(raw).templates] == [template]


def test_the_report_says_what_becomes_of_a_mail() -> None:
    options = {"ccList": "c@x.example", "senderName": "Ann"}
    raw = export(node("Send", "gmail", HTML | {"options": options}, typeVersion=2.1))
    (entry,) = [entry for entry in import_and_parse(raw).report if entry.node == "Send"]
    assert list(entry.steps) == ["send", "send-approval", "send-send"]
    assert "which a person approves" in entry.notes[0]
    assert "not taken over: ccList, senderName" in entry.notes[1]


@pytest.mark.parametrize("resource", ["message", "thread"])
def test_a_reply_answers_the_message_that_the_node_names(resource: str) -> None:
    reply = {"resource": resource, "operation": "reply", "messageId": "=m-{{ $json.name }}", "threadId": "t"}
    raw = export(node("Reply", "gmail", reply | {"emailType": "text", "message": "Yes"}, typeVersion=2.1))
    rendered, emails = sent(raw)
    assert [one["answers"] for one in rendered] == ["m-Ada", "m-Bob"]
    assert rendered[0]["variables"] == {"subject": "Re:", "text": "Yes"}
    assert "contact" not in rendered[0]
    assert len(emails) == 2
    (entry,) = [entry for entry in import_and_parse(raw).report if entry.node == "Reply"]
    assert any("below it and with its subject" in note for note in entry.notes)


@pytest.mark.parametrize(
    "parameters",
    [
        {"operation": "sendAndWait", "responseType": "freeText"},
        {"options": {"attachmentsUi": {"attachmentsBinary": [{}]}}},
    ],
)
def test_what_is_more_than_a_mail_is_unsupported(parameters: dict[str, Any]) -> None:
    raw = export(node("Send", "gmail", HTML | parameters, typeVersion=2.1))
    assert conversions(raw)["Send"] == "unsupported"
