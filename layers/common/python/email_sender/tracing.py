"""Spans of what one invocation does, written to its log as one line. Nothing happens unless tracing is on.

A function does not send its spans itself: that would cost a round trip for each request. MetricTotalsFunction sends the
lines to an OpenTelemetry collector (docs/decisions/0047). The context is W3C's `traceparent` (w3.org/TR/trace-context):
callers may send it, events and runs carry it on. Attributes are ids and names from OpenTelemetry's conventions, never
payloads or addresses.
"""

import json
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

# The word by which log subscriptions find the lines.
LINE_MARK = "EmailSenderSpans"
SAMPLE_VARIABLE = "TRACE_SAMPLE_PERCENT"
# Slow and failed work is kept even if its trace is not sampled.
_SLOW_SECONDS = 1.0
# More spans of one invocation are not worth reading, and a log line may have 256 KB.
_MAX_SPANS = 300
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$")
_IN_TEXT = re.compile(r'"traceparent": ?"([0-9a-f-]{55})"')

type Attribute = str | int | bool


@dataclass(slots=True)
class Span:
    """`kind` is OpenTelemetry's: server, client, producer, consumer or internal. Times are nanoseconds since 1970."""

    name: str
    kind: str
    span_id: str
    parent_id: str
    started: int
    ended: int = 0
    failed: bool = False
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Context:
    """What a `traceparent` says: the trace, the span that caused this work, and whether the trace is kept."""

    trace_id: str
    parent_id: str
    is_sampled: bool


@dataclass(slots=True)
class _Trace:
    """The spans of this invocation. The first one is the invocation's own."""

    trace_id: str
    is_sampled: bool
    spans: list[Span] = field(default_factory=list)


_trace: ContextVar[_Trace | None] = ContextVar("trace", default=None)
_parent: ContextVar[str] = ContextVar("parent_span", default="")


def is_on() -> bool:
    return bool(os.environ.get(SAMPLE_VARIABLE))


@contextmanager
def invocation(name: str, kind: str = "server", traceparent: str | None = None) -> Iterator[None]:
    """Record an invocation, and write its spans to the log when it ends. `traceparent` is the caller's context."""
    if not is_on():
        yield
        return
    context = _read(traceparent)
    trace = _Trace(context.trace_id, context.is_sampled) if context else _new_trace()
    outer_trace, outer_parent = _trace.get(), _parent.get()
    _trace.set(trace)
    _parent.set(context.parent_id if context else "")
    try:
        with span(name, kind):
            yield
    finally:
        _trace.set(outer_trace)
        _parent.set(outer_parent)
        _write(trace)


@contextmanager
def span(name: str, kind: str = "internal", **attributes: Attribute) -> Iterator[None]:
    """Record a part of the current invocation. Names of attributes have `__` for a dot: `db__system="postgresql"`."""
    trace = _trace.get()
    if trace is None or len(trace.spans) >= _MAX_SPANS:
        yield
        return
    dotted = {key.replace("__", "."): value for key, value in attributes.items()}
    current = Span(name, kind, _random_hex(64), _parent.get(), time.time_ns(), attributes=dotted)
    trace.spans.append(current)
    # Set back by value: a token is only valid in the context where it was made, and frameworks change contexts.
    outer_parent = _parent.get()
    _parent.set(current.span_id)
    try:
        yield
    except BaseException:
        current.failed = True
        raise
    finally:
        _parent.set(outer_parent)
        current.ended = time.time_ns()


def describe(name: str | None = None, *, failed: bool = False, **attributes: Attribute) -> None:
    """Rename the invocation's own span, mark it as failed, or add attributes to it."""
    trace = _trace.get()
    if trace is None:
        return
    own = trace.spans[0]
    own.name = name or own.name
    own.failed = own.failed or failed
    own.attributes |= {key.replace("__", "."): value for key, value in attributes.items()}


def join(traceparent: str | None) -> None:
    """Make this invocation a part of another trace, which is only known now: that of its run."""
    trace, context = _trace.get(), _read(traceparent)
    if trace is None or context is None:
        return
    trace.trace_id, trace.is_sampled = context.trace_id, context.is_sampled
    trace.spans[0].parent_id = context.parent_id


def traceparent() -> str | None:
    """Return the context for whatever this invocation causes, or None if tracing is off."""
    trace = _trace.get()
    return f"00-{trace.trace_id}-{_parent.get()}-{'01' if trace.is_sampled else '00'}" if trace else None


def trace_id() -> str | None:
    """Return the id of the current trace, or None if tracing is off."""
    trace = _trace.get()
    return trace.trace_id if trace else None


def find_traceparent(text: str) -> str | None:
    """Return the context that a message carries in its JSON, or None."""
    if not is_on():
        return None
    match = _IN_TEXT.search(text)
    return match[1] if match else None


def _read(traceparent: str | None) -> _Context | None:
    match = _TRACEPARENT.match(traceparent or "")
    return _Context(match[1], match[2], bool(int(match[3], 16) & 1)) if match else None


def _new_trace() -> _Trace:
    """Begin a trace, which is sampled by chance."""
    percent = float(os.environ.get(SAMPLE_VARIABLE) or 0)
    return _Trace(_random_hex(128), random.random() * 100 < percent)  # noqa: S311 - no secret


def _random_hex(bits: int) -> str:
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


def _write(trace: _Trace) -> None:
    own = trace.spans[0]
    is_notable = own.failed or own.ended - own.started > _SLOW_SECONDS * 1e9
    if not trace.is_sampled and not is_notable:
        return
    spans = [
        [s.name, s.kind, s.span_id, s.parent_id, s.started, s.ended or time.time_ns(), s.failed, s.attributes]
        for s in trace.spans
    ]
    service = os.environ.get("POWERTOOLS_SERVICE_NAME", "unknown")
    line = {LINE_MARK: 1, "service": service, "trace_id": trace.trace_id, "spans": spans}
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
