"""An OpenTelemetry collector for this machine: keeps the last traces in memory and draws them."""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.aws.monitoring.dashboards import PAGES

PATH = "/traces"
COLLECTOR_PATH = "/v1/traces"
_MAX_TRACES = 500
_MAX_REQUESTS = 200


@dataclass(frozen=True, slots=True)
class DrawnSpan:
    """`left` and `width` are percent of the trace's duration; `depth` is the number of spans above it."""

    name: str
    service: str
    depth: int
    left: float
    width: float
    milliseconds: float
    failed: bool
    attributes: str


@dataclass(frozen=True, slots=True)
class ListedTrace:
    trace_id: str
    name: str
    spans: int
    services: int
    milliseconds: float


class Collector:
    """Implements the receiving side of OTLP over HTTP with JSON."""

    def __init__(self) -> None:
        self._traces: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        self._requests: deque[Mapping[str, Any]] = deque(maxlen=_MAX_REQUESTS)
        self._lock = threading.Lock()

    def accept(self, body: Mapping[str, Any]) -> None:
        with self._lock:
            self._requests.append(body)
        for resource_spans in body["resourceSpans"]:
            service = _texts(resource_spans["resource"]["attributes"]).get("service.name", "unknown")
            for scope_spans in resource_spans["scopeSpans"]:
                for span in scope_spans["spans"]:
                    self._add({**span, "service": service})

    def _add(self, span: dict[str, Any]) -> None:
        with self._lock:
            spans = self._traces.setdefault(span["traceId"], [])
            # A collector ignores a span that it has: a batch may be sent twice.
            if all(other["spanId"] != span["spanId"] for other in spans):
                spans.append(span)
            while len(self._traces) > _MAX_TRACES:
                self._traces.popitem(last=False)

    def spans(self, trace_id: str) -> Sequence[Mapping[str, Any]]:
        """Return the spans of a trace, or none."""
        with self._lock:
            return list(self._traces.get(trace_id, []))

    def requests(self) -> Sequence[Mapping[str, Any]]:
        """Return the last export requests as they arrived, for a check against OpenTelemetry's schema."""
        with self._lock:
            return list(self._requests)

    def page(self, path: str) -> str | None:
        """Return the list of traces, the picture of one, or None for another path."""
        if path.rstrip("/") == PATH:
            with self._lock:
                traces = {trace_id: list(spans) for trace_id, spans in self._traces.items()}
            listed = [_list(trace_id, spans) for trace_id, spans in reversed(traces.items())]
            return PAGES.get_template("traces.html.j2").render(traces=listed, spans=None)
        spans = self.spans(path.removeprefix(f"{PATH}/"))
        if not path.startswith(f"{PATH}/") or not spans:
            return None
        return PAGES.get_template("traces.html.j2").render(traces=None, spans=list(draw(spans)))


def draw(spans: Sequence[Mapping[str, Any]]) -> Iterator[DrawnSpan]:
    """Yield the spans of a trace, each after the span that caused it."""
    start = min(_started(span) for span in spans)
    total = max(1, max(_ended(span) for span in spans) - start)
    known_ids = {span["spanId"] for span in spans}
    children: dict[str, list[Mapping[str, Any]]] = {}
    for span in sorted(spans, key=_started):
        # The parent may be a caller's span, which is not ours.
        parent = span.get("parentSpanId", "")
        children.setdefault(parent if parent in known_ids else "", []).append(span)

    def visit(parent: str, depth: int) -> Iterator[DrawnSpan]:
        for span in children.get(parent, []):
            duration = _ended(span) - _started(span)
            attributes = ", ".join(f"{key}={value}" for key, value in _texts(span["attributes"]).items())
            yield DrawnSpan(
                span["name"], span["service"], depth, (_started(span) - start) / total * 100,
                max(0.2, duration / total * 100), duration / 1e6, bool(span["status"]), attributes,
            )  # fmt: skip
            yield from visit(span["spanId"], depth + 1)

    yield from visit("", 0)


def _list(trace_id: str, spans: Sequence[Mapping[str, Any]]) -> ListedTrace:
    first = min(spans, key=_started)
    milliseconds = (max(_ended(span) for span in spans) - _started(first)) / 1e6
    return ListedTrace(trace_id, first["name"], len(spans), len({span["service"] for span in spans}), milliseconds)


def _started(span: Mapping[str, Any]) -> int:
    return int(span["startTimeUnixNano"])


def _ended(span: Mapping[str, Any]) -> int:
    return int(span["endTimeUnixNano"])


def _texts(attributes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {attribute["key"]: str(next(iter(attribute["value"].values()))) for attribute in attributes}
