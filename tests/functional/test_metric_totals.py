"""Totals of counters and histograms on PostgreSQL: counted once, also by several functions at the same time."""

import json
import threading

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.metric_totals import PostgresMetricTotals
from email_sender.coordination.metrics import BUCKET_BOUNDS, Total, count_metrics
from tests.database import Cluster

NAMESPACE = "EmailSender/test"
DURATION = "email_sender_api_request_duration_seconds"


def line(name: str, values: object, namespace: str = NAMESPACE, **labels: str) -> str:
    directive = {"Namespace": namespace, "Dimensions": [list(labels)], "Metrics": [{"Name": name, "Unit": "Count"}]}
    return json.dumps({"_aws": {"Timestamp": 1, "CloudWatchMetrics": [directive]}, **labels, name: values})


def counted(*lines: str) -> list[Total]:
    return count_metrics(lines, NAMESPACE, {DURATION})


@pytest.fixture
def totals(platform_role: Database) -> PostgresMetricTotals:
    return PostgresMetricTotals(platform_role)


def test_a_batch_is_counted_once(totals: PostgresMetricTotals) -> None:
    batch = counted(line("x_total", [2.0], status="ok"), line("x_total", [3.0], status="ok"))
    assert totals.add(b"batch-a", batch)
    assert not totals.add(b"batch-a", batch)
    assert totals.add(b"batch-b", counted(line("x_total", 5, status="ok"), line("x_total", 1, status="bad")))
    sums = {total.labels: total.sum for total in totals.read() if total.name == "x_total"}
    assert sums == {(("status", "ok"),): 10.0, (("status", "bad"),): 1.0}


def test_buckets_add_up(totals: PostgresMetricTotals) -> None:
    for batch_id, values in ((b"h1", [0.004, 0.3]), (b"h2", [0.3, 99.0])):
        totals.add(batch_id, counted(line(DURATION, values, method="GET", endpoint="/a", status="200")))
    (total,) = [total for total in totals.read() if total.name == DURATION]
    assert total.count == 4
    assert total.sum == pytest.approx(99.604)
    expected = dict.fromkeys((*BUCKET_BOUNDS, None), 0) | {0.005: 1, 0.5: 2, None: 1}
    assert total.buckets == list(expected.values())


def test_functions_that_count_at_the_same_time_lose_nothing(totals: PostgresMetricTotals) -> None:
    series = [line(f"y{number}_total", 1, status="ok") for number in range(20)]

    def work(worker: int) -> None:
        for number in range(10):
            # The lines arrive in any order.
            totals.add(f"{worker}-{number}".encode(), counted(*(series if worker % 2 else reversed(series))))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sums = {total.sum for total in totals.read() if total.name.startswith("y")}
    assert sums == {40.0}


def test_lines_that_are_no_metrics_of_this_stage_are_skipped() -> None:
    assert counted(
        "START RequestId: 1",
        "[1, 2]",
        '{"_aws": {"CloudWatchMetrics": []}}',
        '{"message": "CloudWatchMetrics"}',
        line("x_total", 1, namespace="EmailSender/other"),
        line("email_sender_manager_status", 1, manager_name="a"),
        line("x_total", [float("nan"), float("inf"), -1.0, "text", None]),
    ) == []  # fmt: skip


def test_old_batches_are_forgotten(totals: PostgresMetricTotals, cluster: Cluster) -> None:
    totals.add(b"old", counted(line("z_total", 1)))
    cluster.execute("update metric_batches set counted_at = now() - interval '3 days' where id = 'old'")
    assert totals.forget_batches() == 1
    assert totals.add(b"old", counted(line("z_total", 1)))
