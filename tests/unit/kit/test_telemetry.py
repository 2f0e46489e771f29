"""What CloudWatch gets: names and dimensions are exactly those that alarms, dashboards and GET /metrics ask for."""

import json
from collections.abc import Callable

import pytest

from email_sender.kit import telemetry


@pytest.mark.parametrize(
    ("emit", "name", "dimensions"),
    [
        (lambda: telemetry.record_manager_status("m", active=True), telemetry.MANAGER_STATUS, ["manager_name"]),
        (
            lambda: telemetry.record_request_duration("GET", "/x", 200, 0.1),
            telemetry.API_DURATION,
            ["method", "endpoint", "status"],
        ),
        (
            lambda: telemetry.count_vector_operations("insert", "success"),
            telemetry.VECTOR_OPERATIONS,
            ["operation", "status"],
        ),
        (lambda: telemetry.count_cache_lookups("c", 1, 0), telemetry.CACHE_LOOKUPS, ["cache", "result"]),
        (telemetry.count_denial, telemetry.ACCESS_DENIED, []),
        (telemetry.count_failed_sign_in, telemetry.FAILED_SIGN_INS, []),
        (lambda: telemetry.report_blocked_sending("paused"), telemetry.SENDING_BLOCKED, []),
    ],
)
def test_a_metric_has_exactly_the_documented_dimensions(
    emit: Callable[[], None],
    name: str,
    dimensions: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As in every function: Powertools would make a dimension of it.
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "messaging-handler")
    emit()
    blobs = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    (directive,) = blobs[0]["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == [name]
    assert directive["Dimensions"] == [dimensions]
    assert directive["Namespace"] == telemetry.NAMESPACE
