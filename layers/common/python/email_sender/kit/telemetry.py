"""Logs and metrics, created once per execution environment.

Logs contain ids, never payloads, addresses, vectors or environment variables.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from email_sender import tracing
from email_sender.errors import DomainError, Unavailable

# A stage of its own each: one account may have several.
NAMESPACE = f"EmailSender/{os.environ.get('STAGE', 'unknown')}"

logger = Logger(use_rfc3339=True, log_uncaught_exceptions=True)


class _LogLevel:
    """The level of this process: a temporary one, or that of the settings, or that of the deployment.

    The deployment lets Lambda pass every level, so that a level can change without it. Powertools and Lambda's runtime
    take that for the wanted level, and libraries would write what they send, so both get theirs here.
    """

    def __init__(self) -> None:
        self._usual = os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO")
        self._temporary: str | None = None
        logging.getLogger().setLevel(logging.WARNING)
        self._apply()

    def set_usual(self, level: str) -> None:
        self._usual = level
        self._apply()

    def set_temporary(self, level: str | None) -> None:
        """Log at `level`, or at the usual level again."""
        if level != self._temporary:
            self._temporary = level
            self._apply()

    def _apply(self) -> None:
        logging.getLogger(logger.name).setLevel(self._temporary or self._usual)


log_level = _LogLevel()

_ADDRESS = re.compile(r"[^\s<>,;:]+@[^\s<>,;:]+")

# Metric names of the specification. Dashboards, alarms and GET /metrics may use these names only.
MANAGER_STATUS = "email_sender_manager_status"
VECTOR_OPERATIONS = "email_sender_vector_operations_total"
CACHE_LOOKUPS = "email_sender_cache_lookups_total"
SENDING_BLOCKED = "email_sender_sending_blocked_total"
ACCESS_DENIED = "email_sender_access_denied_total"
FAILED_SIGN_INS = "email_sender_failed_sign_ins_total"
REPLY_HANDLING = "email_sender_reply_handling_seconds"
RUNS = "email_sender_runs_total"
MANAGER_FAILURES = "email_sender_manager_failures_total"
MANAGER_RECOVERY = "email_sender_manager_recovery_seconds"
AUDIT_BROKEN = "email_sender_audit_broken"
BACKUP_AGE = "email_sender_backup_age_seconds"
OUTBOX_OLDEST = "email_sender_outbox_oldest_seconds"
API_DURATION = "email_sender_api_request_duration_seconds"
# Their values are counted by bucket for Prometheus. Names that end in "_total" are counters, all others gauges.
HISTOGRAMS = frozenset({API_DURATION, REPLY_HANDLING, MANAGER_RECOVERY})
# The same series under the specification's second name. Only GET /metrics has it.
HTTP_DURATION = "http_request_duration_seconds"


def log_trace() -> None:
    """Add the id of the current trace to the log lines of this invocation."""
    if (trace_id := tracing.trace_id()) is not None:
        logger.append_keys(trace_id=trace_id)


def record_request_duration(method: str, endpoint: str, status: int, seconds: float) -> None:
    """Record the duration of a request.

    `endpoint` is the route's template, not the path: a path would create a series for every id.
    """
    labels = {"method": method, "endpoint": endpoint, "status": str(status)}
    _emit(API_DURATION, seconds, MetricUnit.Seconds, labels)


def record_manager_status(manager_name: str, *, active: bool) -> None:
    """Record whether a manager is active."""
    _emit(MANAGER_STATUS, int(active), labels={"manager_name": manager_name})


def count_manager_failure(manager_name: str) -> None:
    _emit(MANAGER_FAILURES, 1, labels={"manager_name": manager_name})


def record_manager_recovery(manager_name: str, seconds: float) -> None:
    """Record how long a manager had failed until it worked again."""
    _emit(MANAGER_RECOVERY, seconds, MetricUnit.Seconds, {"manager_name": manager_name})


def count_run(status: str) -> None:
    """Count a run that ended."""
    _emit(RUNS, 1, labels={"status": status})


def count_vector_operations(operation: str, status: str, count: int = 1) -> None:
    """Count vector operations by their outcome."""
    _emit(VECTOR_OPERATIONS, count, labels={"operation": operation, "status": status})


@contextmanager
def count_failed_operation(operation: str, count: int = 1) -> Iterator[None]:
    """Count `count` vector operations that fail in the platform. Errors of the caller are not counted."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, DomainError) or isinstance(error, Unavailable):
            count_vector_operations(operation, "error", count)
        raise


def count_cache_lookups(cache: str, hits: int, misses: int) -> None:
    """Count hits and misses of a cache. Its hit rate is the sum of `result=hit` divided by the sum of both."""
    for result, count in (("hit", hits), ("miss", misses)):
        if count:
            _emit(CACHE_LOOKUPS, count, labels={"cache": cache, "result": result})


def count_denial() -> None:
    """Count a request that the caller's role did not permit."""
    _emit(ACCESS_DENIED, 1)


def count_failed_sign_in() -> None:
    _emit(FAILED_SIGN_INS, 1)


def record_reply_handling(seconds: float) -> None:
    """Record how long a message was on its way from SES into its conversation."""
    _emit(REPLY_HANDLING, seconds, MetricUnit.Seconds)


def record_gauge(name: str, value: float) -> None:
    """Record a gauge of the whole platform, by its name above."""
    _emit(name, value, MetricUnit.Seconds if name.endswith("_seconds") else MetricUnit.NoUnit)


def report_blocked_sending(reason: str) -> None:
    """Log and count that the mail provider accepts nothing until an operator acts, for the alarm SendingBlocked."""
    # SES names the identities that failed, and in the sandbox they include the recipient.
    reason = _ADDRESS.sub("(address)", reason)
    logger.error("the mail provider accepts no mail: an operator has to act", reason=reason)
    _emit(SENDING_BLOCKED, 1)


def _emit(
    name: str, value: float, unit: MetricUnit = MetricUnit.Count, labels: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write a metric with exactly these dimensions.

    Powertools would add the service from POWERTOOLS_SERVICE_NAME, and an alarm on the metric would find no data.
    """
    metrics = EphemeralMetrics(namespace=NAMESPACE, service="")
    for label, text in labels.items():
        metrics.add_dimension(label, text)
    metrics.add_metric(name, unit, value)
    metrics.flush_metrics()
