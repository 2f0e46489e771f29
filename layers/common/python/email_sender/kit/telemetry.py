"""Logs, metrics and traces, built once a sandbox.

Logs hold ids, never payloads, addresses, vectors or the environment. Tracing is OpenTelemetry's API: spans are no-ops
until an exporter is configured, and its SDK is not imported before that.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit, single_metric

NAMESPACE = "EmailSender"

logger = Logger(use_rfc3339=True, log_uncaught_exceptions=True)

# The specification's series, by name: what is emitted here is what dashboards, alarms and GET /metrics may name.
MANAGER_STATUS = "email_sender_manager_status"
VECTOR_OPERATIONS = "email_sender_vector_operations_total"
CACHE_LOOKUPS = "email_sender_cache_lookups_total"
API_DURATION = "email_sender_api_request_duration_seconds"
HTTP_DURATION = "http_request_duration_seconds"


def request_took(method: str, endpoint: str, status: int, seconds: float) -> None:
    """`endpoint` is the route's template, never the path: a path would make a series of every id."""
    series = EphemeralMetrics(namespace=NAMESPACE)
    for label, value in (("method", method), ("endpoint", endpoint), ("status", str(status))):
        series.add_dimension(label, value)
    for name in (API_DURATION, HTTP_DURATION):
        series.add_metric(name, MetricUnit.Seconds, seconds)
    series.flush_metrics()


def manager_status(manager_name: str, *, active: bool) -> None:
    with single_metric(name=MANAGER_STATUS, unit=MetricUnit.Count, value=int(active), namespace=NAMESPACE) as metric:
        metric.add_dimension("manager_name", manager_name)


def vector_operations(operation: str, status: str, count: int = 1) -> None:
    with single_metric(name=VECTOR_OPERATIONS, unit=MetricUnit.Count, value=count, namespace=NAMESPACE) as metric:
        metric.add_dimension("operation", operation)
        metric.add_dimension("status", status)


def cache_lookups(cache: str, hits: int, misses: int) -> None:
    """A cache's hit rate is the sum of `result=hit` over the sum of both."""
    for result, count in (("hit", hits), ("miss", misses)):
        if count:
            with single_metric(name=CACHE_LOOKUPS, unit=MetricUnit.Count, value=count, namespace=NAMESPACE) as metric:
                metric.add_dimension("cache", cache)
                metric.add_dimension("result", result)


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    from opentelemetry import trace

    with trace.get_tracer("email_sender").start_as_current_span(name, attributes=attributes):
        yield
