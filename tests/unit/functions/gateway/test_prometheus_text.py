"""Tests for the Prometheus text, read back with Prometheus's own parser for Python."""

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from email_sender.adapters.postgres.metric_totals import ObservedManager
from email_sender.coordination.metrics import BUCKET_BOUNDS, Total, count_metrics
from email_sender.kit.telemetry import (
    API_DURATION,
    CACHE_LOOKUPS,
    HISTOGRAMS,
    HTTP_DURATION,
    MANAGER_RECOVERY,
    MANAGER_STATUS,
    VECTOR_OPERATIONS,
)
from gateway_lambda.http.prometheus_text import COUNTERS, exposition
from gateway_lambda.http.prometheus_text import HISTOGRAMS as SERVED_HISTOGRAMS

LABELS = (("endpoint", "/api/v1/contacts/{id}"), ("method", "GET"), ("status", "200"))


def samples(totals: list[Total], managers: list[ObservedManager] | None = None) -> dict[tuple[str, str], float]:
    """Return the values by sample name and sorted labels."""
    text = exposition(totals, managers or []).decode()
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def duration(*values: float) -> Total:
    total = Total(API_DURATION, LABELS, buckets=[0] * (len(BUCKET_BOUNDS) + 1))
    for value in values:
        total.add(value)
    return total


def test_every_series_is_declared_even_without_values() -> None:
    types = [line for line in exposition([], []).decode().splitlines() if line.startswith("# TYPE")]
    assert f"# TYPE {API_DURATION} histogram" in types
    assert f"# TYPE {HTTP_DURATION} histogram" in types
    assert f"# TYPE {VECTOR_OPERATIONS} counter" in types
    assert f"# TYPE {MANAGER_STATUS} gauge" in types
    assert {logged for _, _, _, logged in SERVED_HISTOGRAMS} == HISTOGRAMS
    assert CACHE_LOOKUPS in {name for name, _, _ in COUNTERS}


def test_buckets_are_cumulated_and_end_with_the_count() -> None:
    found = samples([duration(0.005, 0.006, 0.2, 11.0)])
    labels = "endpoint=/api/v1/contacts/{id}"
    buckets = {
        key.split("le=")[1].split(",")[0]: value
        for (name, key), value in found.items()
        if name == f"{API_DURATION}_bucket"
    }
    assert buckets["0.005"] == 1
    assert buckets["0.01"] == 2
    assert buckets["0.1"] == 2
    assert buckets["0.25"] == 3
    assert buckets["10.0"] == 3
    assert buckets["+Inf"] == 4
    count = found[f"{API_DURATION}_count", f"{labels},method=GET,status=200"]
    assert count == 4
    assert found[f"{API_DURATION}_sum", f"{labels},method=GET,status=200"] == 11.211


def test_the_durations_have_a_second_name() -> None:
    found = samples([duration(0.5)])
    assert found[f"{HTTP_DURATION}_count", "endpoint=/api/v1/contacts/{id},method=GET,status=200"] == 1


def test_a_counter_has_the_sum_of_its_values() -> None:
    total = Total(VECTOR_OPERATIONS, (("operation", "insert"), ("status", "success")), 2, 150.0)
    assert samples([total]) == {(VECTOR_OPERATIONS, "operation=insert,status=success"): 150}


def test_managers_are_gauges_with_their_figures() -> None:
    manager = ObservedManager('api "x"\\\n', True, {"drafts": 3.0}, datetime(2026, 11, 29, tzinfo=UTC))
    found = samples([], [manager, ObservedManager("idle", False, {}, None)])
    assert found[MANAGER_STATUS, f"manager_name={manager.name}"] == 1
    assert found[MANAGER_STATUS, "manager_name=idle"] == 0
    assert found["email_sender_manager_figure", f"figure=drafts,manager_name={manager.name}"] == 3
    assert found["email_sender_manager_observed_timestamp_seconds", f"manager_name={manager.name}"] == 1795910400


def test_recoveries_are_counted_by_manager() -> None:
    line = (
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "EmailSender/x", "Dimensions": [["manager_name"]], "Metrics": '
        f'[{{"Name": "{MANAGER_RECOVERY}"}}]}}]}}, "manager_name": "vectorization", "{MANAGER_RECOVERY}": [90]}}'
    )
    (total,) = count_metrics([line, line], "EmailSender/x", HISTOGRAMS)
    assert samples([total])[f"{MANAGER_RECOVERY}_sum", "manager_name=vectorization"] == 180
