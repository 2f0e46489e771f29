"""One trace from a request through a whole outreach run, as a collector receives it."""

import base64
import secrets
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from local.client import wait_until
from tests.conftest import Platform
from tests.e2e import api

pytestmark = pytest.mark.timeout(180)


def exported(platform: Platform) -> Iterator[tuple[str, Span]]:
    """Yield the service and the span of everything that the collector got lately."""
    for body in httpx.get(f"{platform.cloud.aws_url}/v1/traces").json():
        request = ParseDict(_with_base64_ids(body), ExportTraceServiceRequest())
        for resource_spans in request.resource_spans:
            attributes = {pair.key: pair.value.string_value for pair in resource_spans.resource.attributes}
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    yield attributes["service.name"], span


def _with_base64_ids(document: Any) -> Any:
    """OTLP's JSON writes ids in hex, where the JSON of Protocol Buffers has base64 (OTLP specification)."""
    if isinstance(document, list):
        return [_with_base64_ids(element) for element in document]
    if not isinstance(document, dict):
        return document
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode()
        if key in ("traceId", "spanId", "parentSpanId")
        else _with_base64_ids(value)
        for key, value in document.items()
    }


def spans_of(platform: Platform, trace_id: str) -> list[tuple[str, Span]]:
    return [(service, span) for service, span in exported(platform) if span.trace_id.hex() == trace_id]


@pytest.fixture(scope="module")
def trace(platform: Platform) -> list[tuple[str, Span]]:
    """The trace of a run that sent one email."""
    client = platform["admin@acme"]
    contact, template = api.add_contact(client), api.add_template(client)
    workflow = client.post(
        "/workflows", {"definition": api.mail_workflow(template["name"], [contact["id"]], approval=False)}
    )
    trace_id = secrets.token_hex(16)
    parent = f"00-{trace_id}-{'ab' * 8}-01"
    response = client.http.post(
        f"/workflows/{workflow['id']}/execute", json={"inputs": {}}, headers={"traceparent": parent}
    )
    assert response.headers["traceparent"].startswith(f"00-{trace_id}-")
    api.wait_for_run(client, response.json()["id"], "succeeded")

    def is_complete(spans: list[tuple[str, Span]]) -> bool:
        names = {span.name for _, span in spans}
        return {"task template.render", "task email.send", "ses.SendRawEmail"} <= names

    return wait_until(lambda: spans_of(platform, trace_id), is_complete, 60)


def test_one_trace_has_the_request_the_tasks_and_the_mail(trace: list[tuple[str, Span]]) -> None:
    services = {service for service, _ in trace}
    assert {"workflows-handler", "messaging-tasks", "messaging-email-send"} <= services
    by_id = {span.span_id: span for _, span in trace}
    assert len(by_id) == len(trace)
    (request,) = [span for _, span in trace if span.kind == Span.SPAN_KIND_SERVER]
    assert request.parent_span_id.hex() == "ab" * 8
    assert request.name == "POST /api/v1/workflows/{workflow_id}/execute"
    assert request.end_time_unix_nano > request.start_time_unix_nano > (time.time() - 600) * 1e9
    # Every span leads to the request.
    for _, span in trace:
        while span.span_id != request.span_id:
            span = by_id[span.parent_span_id]
    assert {"postgresql transaction"} < {span.name for _, span in trace}


def test_attributes_have_ids_and_names_only(trace: list[tuple[str, Span]]) -> None:
    attributes = {pair.key: pair.value for _, span in trace for pair in span.attributes}
    assert set(attributes) <= {
        "http.request.method", "http.route", "http.response.status_code", "tenant.id", "run.id", "run.step",
        "db.system", "rpc.system", "rpc.service", "rpc.method", "messaging.system", "messaging.message.id",
    }  # fmt: skip
    assert "@" not in str(attributes)


def test_an_event_carries_the_trace(platform: Platform, trace: list[tuple[str, Span]]) -> None:
    trace_id = trace[0][1].trace_id.hex()
    query = (
        "select payload->>'traceparent' as context from email_sender.events "
        "where type in ('run.started', 'email.sent') and payload->>'traceparent' like %s"
    )
    # The recorder stores events some seconds later.
    payloads = wait_until(lambda: platform.query(query, f"00-{trace_id}-%"), lambda rows: len(rows) >= 2, 30)
    assert len(payloads) == 2


def test_the_page_draws_the_trace(platform: Platform, trace: list[tuple[str, Span]]) -> None:
    page = httpx.get(f"{platform.cloud.aws_url}/traces/{trace[0][1].trace_id.hex()}").text
    assert page.count('class="track"') == len(trace)
    assert "task email.send" in page


@pytest.mark.parametrize("context", ["", "00-0-0-01", f"00-{'0' * 32}-{'1' * 16}-01", "ff"])
def test_a_wrong_context_begins_a_trace_of_our_own(platform: Platform, context: str) -> None:
    response = platform["user@acme"].http.get("/templates", headers={"traceparent": context})
    assert response.status_code == 200
    assert response.headers["traceparent"].startswith("00-")


def test_the_tracing_manager_sees_the_collector(platform: Platform) -> None:
    manager = platform["operator@platform"].get("/managers/tracing-manager/status")
    assert manager["status"] == "running"
