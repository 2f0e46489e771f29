"""Importing nodes that call other systems: what they become, and what the report says of them."""

import base64
import json
from collections.abc import Mapping
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.workflows.n8n.samples import (
    connections_to,
    conversions,
    export,
    import_and_parse,
    items_in,
    node,
    run,
)

REQUEST = {"url": "=https://crm.example.com/people/{{ $json.name }}"}
SHEET = {
    "documentId": {"mode": "id", "value": "book"},
    "sheetName": {"mode": "list", "value": "gid=0", "cachedResultName": "Log"},
    "operation": "append",
    "columns": {"mappingMode": "autoMapInputData", "matchingColumns": [], "schema": [{"id": "name", "type": "string"}]},
}
LAST = node("All", "limit", {"maxItems": 9})


def test_requests_and_the_nodes_around_them_are_one_step() -> None:
    sent: list[Mapping[str, Any]] = []

    def answer(request: Mapping[str, Any]) -> Any:
        sent.append(request)
        if "sheets.properties" in request["url"]:
            return {"sheets": [{"properties": {"sheetId": 0, "title": "Log"}}]}
        if "crm.example.com" in request["url"]:
            return {"name": request["url"].rpartition("/")[2].upper()}
        return {"values": [["name"]]} if request["method"] == "GET" else {}

    shape = {"assignments": {"assignments": [{"name": "name", "value": "={{ $json.name }}!", "type": "string"}]}}
    raw = export(
        node("Ask", "httpRequest", REQUEST, typeVersion=4.2), node("Shape", "set", shape),
        node("Log", "googleSheets", SHEET, typeVersion=4.5), LAST,
    )  # fmt: skip
    step = import_and_parse(raw).definition["steps"][-1]
    assert (step["id"], step["uses"], step["retry"]["on"]) == ("people", "n8n.node", ["unavailable"])
    assert items_in(run(raw, answer_request=answer), "all") == [{"name": "ADA!"}, {"name": "BOB!"}]
    written = json.loads(sent[-1]["body"])
    assert (written["range"], written["values"]) == ("Log!2:3", [["ADA!"], ["BOB!"]])
    assert sent[-1]["auth"]["secret"] == "googlesheetsoauth2api"


def test_a_step_has_nothing_that_only_the_editor_of_n8n_needs() -> None:
    step = import_and_parse(export(node("Log", "googleSheets", SHEET, typeVersion=4.5))).definition["steps"][-1]
    parameters = step["with"]["workflow"]["nodes"][-1]["parameters"]
    assert parameters["sheetName"] == {"mode": "list", "value": "gid=0"}
    assert parameters["columns"]["schema"] == [{"id": "name", "type": "string"}]


def test_a_loop_with_a_request_stays_a_loop() -> None:
    raw = export(
        node("Each", "splitInBatches", {"batchSize": 1}, typeVersion=3), node("Ask", "httpRequest", REQUEST), LAST,
        connections={"Each": connections_to("All", "Ask"), "Ask": connections_to("Each"), "All": connections_to()},
    )  # fmt: skip
    urls: list[str] = []

    def answer(request: Mapping[str, Any]) -> Any:
        urls.append(request["url"])
        return {"number": len(urls)}

    assert items_in(run(raw, answer_request=answer), "all") == [{"number": 1}, {"number": 2}]
    assert urls == ["https://crm.example.com/people/Ada", "https://crm.example.com/people/Bob"]


def test_a_pause_in_a_loop_with_requests_is_left_out_and_a_long_wait_opens_the_loop() -> None:
    def raw(amount: int) -> dict[str, Any]:
        pause = node("Pause", "wait", {"amount": amount, "unit": "seconds"}, typeVersion=1.1)
        return export(
            node("Each", "splitInBatches", {"batchSize": 1}, typeVersion=3), node("Ask", "httpRequest", REQUEST),
            pause, LAST,
            connections={"Each": connections_to("All", "Ask"), "Pause": connections_to("Each"),
                         "All": connections_to()},
        )  # fmt: skip

    outcome = run(raw(2), answer_request=lambda request: {"url": request["url"][-3:]})
    assert items_in(outcome, "all") == [{"url": "Ada"}, {"url": "Bob"}]
    assert [step["uses"] for step in import_and_parse(raw(2)).definition["steps"]] == ["transform", "n8n.node"]
    notes = {entry.node: entry.notes for entry in import_and_parse(raw(2)).report}
    assert notes["Pause"] == ["in a loop it does not wait: what the loop does comes one after the other"]
    assert "wait" in [step["uses"] for step in import_and_parse(raw(3_600)).definition["steps"]]


def test_the_report_names_the_secret_and_its_hosts() -> None:
    raw = export(
        node("Log", "googleSheets", SHEET, typeVersion=4.5),
        node("Ask", "httpRequest", REQUEST | {"authentication": "genericCredentialType",
                                              "genericAuthType": "httpHeaderAuth"}, typeVersion=4.2),
        node("Tell", "telegram", {"chatId": "1", "text": "x"}),
    )  # fmt: skip
    notes = {entry.node: "; ".join(entry.notes) for entry in import_and_parse(raw).report}
    assert "secret 'googlesheetsoauth2api' for sheets.googleapis.com and www.googleapis.com" in notes["Log"]
    assert "secret 'httpheaderauth': store it there" in notes["Ask"]
    assert "the line that n8n adds" in notes["Tell"]


@pytest.mark.parametrize(
    ("kind", "version", "parameters", "reason"),
    [
        ("googleSheets", 2, {}, "version 2 of this node is not supported"),
        ("googleSheets", 4.5, {"operation": "fly"}, "its operation 'fly' is not supported"),
        ("googleSheets", 4.5, {"operation": ["x"]}, "its operation \"['x']\" is not supported"),
        ("googleSheets", 4.5, {"resource": {}}, "its resource '{}' is not supported"),
        ("googleSheets", 4.5, {"authentication": "other"}, "signing in by 'other' is not supported"),
        ("httpRequest", 4.2, {"authentication": "genericCredentialType", "genericAuthType": "httpDigestAuth"},
         "signing in by 'httpDigestAuth' is not supported"),
        ("httpRequest", 1, {"authentication": "digestAuth"}, "signing in by 'digestAuth' is not supported"),
        ("httpRequest", 2, {"sendBinaryData": True}, "files of items cannot be sent"),
        ("httpRequest", 9, {}, "version 9 of this node is not supported"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_unsupported_with_the_reason(
    kind: str, version: float, parameters: dict[str, Any], reason: str
) -> None:
    raw = export(node("Ask", kind, parameters, typeVersion=version))
    assert conversions(raw)["Ask"] == "unsupported"
    (entry,) = [entry for entry in import_and_parse(raw).report if entry.node == "Ask"]
    assert reason in entry.notes


def test_files_and_pages_are_read_here() -> None:
    rows = {"operation": "csv", "options": {}}
    # n8n writes a mark at the start, which is a part of the first name unless the reader looks for it.
    read = rows | {"options": {"enableBOM": True}}
    page_of = "={{ ({ html: '<h1>' + $json.name + '</h1>' }) }}"
    names = {"values": [{"key": "title", "cssSelector": "h1"}]}
    page = {"operation": "extractHtmlContent", "dataPropertyName": "html", "extractionValues": names}
    written = {"mode": "raw", "jsonOutput": page_of}
    raw = export(
        node("Write", "convertToFile", rows, typeVersion=1.1), node("Read", "extractFromFile", read, typeVersion=1.1),
        node("Page", "set", written, typeVersion=3.4), node("Title", "html", page, typeVersion=1.2), LAST,
    )  # fmt: skip
    assert items_in(run(raw), "all") == [{"title": "Ada"}, {"title": "Bob"}]


@pytest.mark.parametrize(
    ("kind", "parameters", "reason"),
    [
        ("extractFromFile", {"operation": "fromIcs"}, "its operation 'fromIcs' is not supported"),
        ("convertToFile", {"operation": ["csv"]}, "its operation \"['csv']\" is not supported"),
        ("markdown", {"mode": "other"}, "its operation 'other' is not supported"),
    ],
)
def test_an_operation_that_is_not_known_is_named(kind: str, parameters: dict[str, Any], reason: str) -> None:
    entry = next(entry for entry in import_and_parse(export(node("It", kind, parameters))).report if entry.node == "It")
    assert (entry.outcome, entry.notes[0]) == ("unsupported", reason)


def test_what_differs_in_html_is_said() -> None:
    table = node("Table", "html", {"operation": "convertToHtmlTable"}, typeVersion=1.2)
    raw = export(node("Page", "html", {}, typeVersion=1.2), table)
    notes = {entry.node: list(entry.notes) for entry in import_and_parse(raw).report}
    assert notes["Page"] == ["n8n's example page is not included: the page is empty"]
    assert notes["Table"] == ["tables have no styles of their own"]


def sent_by(raw: dict[str, Any], response: Any) -> list[Mapping[str, Any]]:
    """Return the requests of an import's nodes, which all get this response."""
    sent: list[Mapping[str, Any]] = []

    def answer(request: Mapping[str, Any]) -> Any:
        sent.append(request)
        return response

    outcome = run(raw, answer_request=answer)
    assert outcome.status == "SUCCEEDED", outcome
    return sent


def test_names_in_the_addresses_and_the_subject_of_a_draft_arrive_as_they_are() -> None:
    draft = {
        "resource": "draft",
        "operation": "create",
        "subject": '"Zoë" fragt: Größe, Farbe und Maß',
        "message": "Text",
        "options": {"sendTo": '"Ann Müller" <ann@x.example>, bo@x.example'},
    }
    requests = sent_by(export(node("Draft", "gmail", draft | {"executeOnce": True}, typeVersion=2.1), LAST), {})
    raw = json.loads(requests[0]["body"])["message"]["raw"]
    mail = message_from_bytes(base64.urlsafe_b64decode(raw + "=="), policy=policy.default)
    assert mail["Subject"] == draft["subject"]
    addresses = [(one.display_name, one.addr_spec) for one in mail["To"].addresses]
    assert addresses == [("Ann Müller", "ann@x.example"), ("", "bo@x.example")]


def test_a_value_of_a_filter_adds_no_conditions() -> None:
    condition = {"keyName": "name", "condition": "eq", "keyValue": 'x",id.gt.0,name.eq."'}
    delete = {"operation": "delete", "tableId": "people", "filters": {"conditions": [condition]}}
    requests = sent_by(export(node("Delete", "supabase", delete, typeVersion=1), LAST), [])
    (value,) = parse_qs(urlsplit(requests[0]["url"]).query)["or"]
    assert value == '(name.eq."x\\",id.gt.0,name.eq.\\"")'
