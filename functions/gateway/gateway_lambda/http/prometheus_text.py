"""The platform's metrics as Prometheus text."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from email_sender.adapters.postgres.metric_totals import ObservedManager
from email_sender.coordination.metrics import BUCKET_BOUNDS, Total
from email_sender.kit.telemetry import (
    ACCESS_DENIED,
    API_DURATION,
    CACHE_LOOKUPS,
    FAILED_SIGN_INS,
    HTTP_DURATION,
    MANAGER_FAILURES,
    MANAGER_RECOVERY,
    MANAGER_STATUS,
    REPLY_HANDLING,
    RUNS,
    SENDING_BLOCKED,
    VECTOR_OPERATIONS,
)

MANAGER_FIGURE = "email_sender_manager_figure"
MANAGER_OBSERVED = "email_sender_manager_observed_timestamp_seconds"

# Name, help text, and names of the labels.
COUNTERS: Sequence[tuple[str, str, Sequence[str]]] = (
    (VECTOR_OPERATIONS, "Vectors searched, inserted and deleted.", ("operation", "status")),
    (RUNS, "Runs that ended.", ("status",)),
    (MANAGER_FAILURES, "How often a manager failed.", ("manager_name",)),
    (CACHE_LOOKUPS, "Lookups in caches.", ("cache", "result")),
    (SENDING_BLOCKED, "Emails that the mail provider did not accept until an operator acts.", ()),
    (ACCESS_DENIED, "Requests that the caller's role did not permit.", ()),
    (FAILED_SIGN_INS, "Attempts to sign in that failed.", ()),
)
# With the name under which functions log the values. The specification gives the first histogram two names.
HISTOGRAMS: Sequence[tuple[str, str, Sequence[str], str]] = (
    (API_DURATION, "Duration of requests.", ("method", "endpoint", "status"), API_DURATION),
    (HTTP_DURATION, "Duration of requests.", ("method", "endpoint", "status"), API_DURATION),
    (MANAGER_RECOVERY, "Time until a failed manager worked again.", ("manager_name",), MANAGER_RECOVERY),
    (REPLY_HANDLING, "Time from the arrival of a message to its place in a conversation.", (), REPLY_HANDLING),
)


def exposition(totals: Iterable[Total], managers: Iterable[ObservedManager]) -> bytes:
    """Return the text format 0.0.4 (prometheus.io, "Exposition formats")."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*_counters(totals := list(totals)), *_histograms(totals), *_gauges(managers)]))
    return bytes(generate_latest(registry))


class _Families(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _counters(totals: Sequence[Total]) -> Iterator[Metric]:
    for name, help_text, labels in COUNTERS:
        family = CounterMetricFamily(name, help_text, labels=labels)
        for total in totals:
            if total.name == name:
                family.add_metric(_label_values(total, labels), total.sum)
        yield family


def _histograms(totals: Sequence[Total]) -> Iterator[Metric]:
    for name, help_text, labels, logged_name in HISTOGRAMS:
        family = HistogramMetricFamily(name, help_text, labels=labels)
        for total in totals:
            if total.name == logged_name:
                family.add_metric(_label_values(total, labels), _cumulated_buckets(total), total.sum)
        yield family


def _cumulated_buckets(total: Total) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in BUCKET_BOUNDS), "+Inf"]
    return [(bound, float(sum(total.buckets[: index + 1]))) for index, bound in enumerate(bounds)]


def _gauges(managers: Iterable[ObservedManager]) -> Iterator[Metric]:
    status = GaugeMetricFamily(MANAGER_STATUS, "Whether a manager works (1) or not (0).", labels=["manager_name"])
    observed = GaugeMetricFamily(MANAGER_OBSERVED, "When a manager was last checked.", labels=["manager_name"])
    figures = GaugeMetricFamily(
        MANAGER_FIGURE, "What a manager's check counted, by figure.", labels=["manager_name", "figure"]
    )
    for manager in sorted(managers, key=lambda manager: manager.name):
        status.add_metric([manager.name], int(manager.is_active))
        if manager.observed_at is not None:
            observed.add_metric([manager.name], manager.observed_at.timestamp())
        for figure, value in sorted(manager.figures.items()):
            figures.add_metric([manager.name, figure], value)
    yield from (status, observed, figures)


def _label_values(total: Total, names: Sequence[str]) -> list[str]:
    labels = dict(total.labels)
    return [labels.get(name, "") for name in names]
