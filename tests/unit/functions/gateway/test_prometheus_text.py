"""Tests for the Prometheus text format, checked with a reduced version of its grammar."""

import re

from email_sender.adapters.aws.cloudwatch import Sample
from email_sender.kit.telemetry import API_DURATION, CACHE_LOOKUPS, HTTP_DURATION, MANAGER_STATUS, VECTOR_OPERATIONS
from gateway_lambda.http.prometheus_text import SERIES, exposition

LINE = re.compile(r'[a-z_]+\{([a-z_]+="([^"\\\n]|\\["\\n])*"(,[a-z_]+="([^"\\\n]|\\["\\n])*")*)?\} -?[0-9.e+-]+')
LABELS = (("method", "GET"), ("endpoint", "/api/v1/contacts/{id}"), ("status", "200"))


def test_every_series_is_declared_even_without_samples() -> None:
    assert set(SERIES) == {MANAGER_STATUS, VECTOR_OPERATIONS, CACHE_LOOKUPS, API_DURATION}
    assert exposition([]).splitlines() == [
        f"# TYPE {MANAGER_STATUS} gauge",
        f"# TYPE {VECTOR_OPERATIONS} counter",
        f"# TYPE {CACHE_LOOKUPS} counter",
        f"# TYPE {API_DURATION} summary",
        f"# TYPE {HTTP_DURATION} summary",
    ]


def test_a_duration_has_a_sum_a_count_and_two_quantiles() -> None:
    samples = [Sample(API_DURATION, LABELS, statistic, 2.5) for statistic in SERIES[API_DURATION]]
    labels = 'method="GET",endpoint="/api/v1/contacts/{id}",status="200"'
    assert exposition(samples).splitlines()[4:8] == [
        f'{API_DURATION}_count{{{labels}}} 2.5',
        f'{API_DURATION}_sum{{{labels}}} 2.5',
        f'{API_DURATION}{{{labels},quantile="0.50"}} 2.5',
        f'{API_DURATION}{{{labels},quantile="0.95"}} 2.5',
    ]  # fmt: skip


def test_the_durations_have_a_second_name() -> None:
    lines = exposition([Sample(API_DURATION, LABELS, "Sum", 2.5)]).splitlines()
    assert lines[-1] == lines[4].replace(API_DURATION, HTTP_DURATION)
    assert lines[-2] == f"# TYPE {HTTP_DURATION} summary"


def test_a_gauge_and_a_counter_have_one_line_each() -> None:
    samples = [
        Sample(MANAGER_STATUS, (("manager_name", "api"),), "Maximum", 1),
        Sample(VECTOR_OPERATIONS, (("operation", "search"), ("status", "ok")), "Sum", 12),
    ]
    lines = exposition(samples).splitlines()
    assert f'{MANAGER_STATUS}{{manager_name="api"}} 1' in lines
    assert f'{VECTOR_OPERATIONS}{{operation="search",status="ok"}} 12' in lines


def test_a_label_value_is_escaped() -> None:
    text = exposition([Sample(MANAGER_STATUS, (("manager_name", 'a"\n} 1\\'),), "Maximum", 1)])
    (line,) = [sample_line for sample_line in text.splitlines() if not sample_line.startswith("#")]
    assert LINE.fullmatch(line)
    assert text.endswith("\n")
