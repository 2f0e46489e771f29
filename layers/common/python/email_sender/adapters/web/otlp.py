"""Sends spans to an OpenTelemetry collector: OTLP over HTTP with JSON (opentelemetry.io, "OTLP Specification").

JSON, because it needs no library: functions write spans as lines of JSON, and each collector has to accept both
encodings.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from email_sender.errors import Unavailable
from email_sender.tracing import LINE_MARK

_SECONDS = 5.0
_HEADERS_SECONDS = 300.0
_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUS_ERROR = 2

type Json = dict[str, Any]


class OtlpExporter:
    """`endpoint` is the collector's URL including /v1/traces; `read_headers` returns the headers that it asks for.

    Every method raises Unavailable if the collector does not accept a request, or if the headers cannot be read.
    """

    def __init__(
        self, endpoint: str, read_headers: Callable[[], Mapping[str, str]], resource: Mapping[str, str]
    ) -> None:
        self._endpoint, self._read_headers, self._resource = endpoint, read_headers, resource
        self._headers: tuple[float, Mapping[str, str]] | None = None

    def export(self, lines: Iterable[str]) -> int:
        """Send the spans in these log lines and return how many there were. Other lines are skipped."""
        by_service: dict[str, list[Json]] = {}
        for line in lines:
            document = _read(line)
            if document is not None:
                spans = by_service.setdefault(document["service"], [])
                spans += [_span(document["trace_id"], *fields) for fields in document["spans"]]
        if by_service:
            self._send({"resourceSpans": [self._resource_spans(*pair) for pair in by_service.items()]})
        return sum(len(spans) for spans in by_service.values())

    def probe(self) -> None:
        """Return if the collector accepts a request without spans."""
        self._send({"resourceSpans": []})

    def _resource_spans(self, service: str, spans: list[Json]) -> Json:
        attributes = {"service.name": service, "service.namespace": "email-sender", **self._resource}
        return {
            "resource": {"attributes": _attributes(attributes)},
            "scopeSpans": [{"scope": {"name": "email_sender.tracing"}, "spans": spans}],
        }

    def _send(self, body: Json) -> None:
        headers = {"content-type": "application/json", **self._current_headers()}
        try:
            # The endpoint comes from the settings, never from a request.
            request = Request(self._endpoint, json.dumps(body).encode(), headers, method="POST")  # noqa: S310
            with urlopen(request, timeout=_SECONDS):  # noqa: S310
                return
        except (OSError, HTTPException, ValueError) as error:
            raise Unavailable("The collector of traces did not accept the spans.") from error

    def _current_headers(self) -> Mapping[str, str]:
        """Return the headers, read again now and then: a token may have been replaced."""
        now = time.monotonic()
        if self._headers is None or now - self._headers[0] > _HEADERS_SECONDS:
            try:
                headers = {str(name): str(value) for name, value in self._read_headers().items()}
            except Exception as error:  # whatever is wrong with a secret must not stop metrics or checks
                raise Unavailable("The headers for the collector of traces could not be read.") from error
            self._headers = (now, headers)
        return self._headers[1]


def _read(line: str) -> Json | None:
    if LINE_MARK not in line:
        return None
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get(LINE_MARK) == 1 else None


def _span(
    trace_id: str,
    name: str,
    kind: str,
    span_id: str,
    parent_id: str,
    started: int,
    ended: int,
    failed: bool,
    attributes: Mapping[str, Any],
) -> Json:
    return {
        "traceId": trace_id,
        "spanId": span_id,
        **({"parentSpanId": parent_id} if parent_id else {}),
        "name": name,
        "kind": _KINDS[kind],
        # 64-bit integers are strings in the JSON of Protocol Buffers.
        "startTimeUnixNano": str(started),
        "endTimeUnixNano": str(ended),
        "attributes": _attributes(attributes),
        "status": {"code": _STATUS_ERROR} if failed else {},
    }


def _attributes(attributes: Mapping[str, Any]) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> Json:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}
