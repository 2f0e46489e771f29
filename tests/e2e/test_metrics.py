"""GET /metrics of the deployed platform, read by a real Prometheus."""

import json
import math
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from local.client import wait_until
from local.layout import ROOT
from tests.conftest import Platform
from tests.prometheus import find_tool, run_prometheus

REQUESTS = "email_sender_api_request_duration_seconds_count"
CONTACTS = 'endpoint="/api/v1/contacts",method="GET",status="200"'


def metrics_text(platform: Platform) -> str:
    return platform["operator@platform"].http.get("/metrics").raise_for_status().text


def counted_requests(platform: Platform) -> float:
    return next(
        (
            float(line.rpartition(" ")[2])
            for line in metrics_text(platform).splitlines()
            if line.startswith(REQUESTS) and CONTACTS in line
        ),
        0.0,
    )


def test_every_request_is_counted_once(platform: Platform) -> None:
    time.sleep(3)  # requests of earlier tests may still be on their way
    before = counted_requests(platform)
    for _ in range(25):
        platform["user@acme"].get("/contacts")
    wait_until(lambda: counted_requests(platform), lambda count: count >= before + 25, 30)
    time.sleep(2)
    assert counted_requests(platform) == before + 25


def test_promtool_finds_no_fault(platform: Platform) -> None:
    command = [str(find_tool("promtool")), "check", "metrics"]
    checked = subprocess.run(command, input=metrics_text(platform), text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_prometheus_answers_the_queries_of_the_dashboard(platform: Platform, tmp_path: Path) -> None:
    panels = json.loads((ROOT / "docs/grafana/prometheus.json").read_text())["panels"]
    token = platform["operator@platform"].http.headers["authorization"].removeprefix("Bearer ")
    # Observes the managers, if the clock has not done so yet.
    platform["operator@platform"].get("/managers/status")
    with run_prometheus(tmp_path, f"127.0.0.1:{platform.cloud.ports['api']}", token) as prometheus:
        requests = f"sum({REQUESTS}{{{CONTACTS}}})"
        before = prometheus.value(requests) or 0.0
        for _ in range(10):
            platform["user@acme"].get("/contacts")
        wait_until(lambda: prometheus.value(requests) or 0.0, lambda count: count >= before + 10, 30)
        buckets = "sum by (le) (rate(email_sender_api_request_duration_seconds_bucket[1m]))"
        quantile = wait_until(
            lambda: prometheus.value(f"histogram_quantile(0.95, {buckets})") or math.nan, math.isfinite, 30
        )
        assert 0 < quantile <= 10
        coordinator = 'email_sender_manager_status{manager_name="central-coordinator"}'
        wait_until(lambda: prometheus.value(coordinator), lambda status: status == 1, 30)
        # The specification's second name has the same values.
        sums = [f"{name}_sum" for name in (REQUESTS.removesuffix("_count"), "http_request_duration_seconds")]
        differences = prometheus.query(f"{sums[0]} - on (method, endpoint, status) {sums[1]}")
        assert {result["value"][1] for result in differences} == {"0"}
        with_data = [panel["title"] for panel in panels if prometheus.query(panel["targets"][0]["expr"])]
    # What has not happened yet has no data: replies, or refused requests.
    assert {"Managers that work", "Requests a second", "Duration of requests, 95th percentile"} <= set(with_data)


def test_only_operators_can_read_metrics(platform: Platform) -> None:
    assert platform["admin@acme"].http.get("/metrics").status_code == 403
    assert platform["admin@acme"].http.get("/metrics", headers={"authorization": ""}).status_code == 401


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/metrics"])
def test_the_short_path_has_the_same_metrics(platform: Platform, path: str) -> None:
    response = platform["operator@platform"].http.get(f"{platform.cloud.api_url}{path}")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_every_dashboard_is_read_with_the_figures_of_this_cloud(platform: Platform) -> None:
    operator = platform["operator@platform"]
    names = [one["name"] for one in operator.get("/dashboards")["items"]]
    assert {"overview", "objectives", "alerts"} <= set(names)
    panels = {name: operator.get(f"/dashboards/{name}", hours=3)["panels"] for name in names}
    assert [panel["error"] for shown in panels.values() for panel in shown if panel["error"]] == []

    def manager_series() -> list[dict[str, Any]]:
        shown = operator.get("/dashboards/overview", hours=3)["panels"]
        return list(next(panel for panel in shown if panel["title"].startswith("Managers"))["series"])

    # In a cloud that has just started, no manager was checked yet; and figures are kept for a minute.
    series = wait_until(manager_series, bool, 150)
    assert "central-coordinator" in {one["label"] for one in series}
    assert all(0 <= point["value"] <= 1 for one in series for point in one["points"])
    states = {alarm["state"] for panel in panels["alerts"] for alarm in panel["alarms"]}
    assert states
    assert states <= {"OK", "ALARM", "INSUFFICIENT_DATA"}
    assert operator.http.get("/dashboards/nothing").status_code == 404
    assert operator.http.get("/dashboards/overview", params={"hours": 13}).status_code == 422
    assert platform["admin@acme"].http.get("/dashboards").status_code == 403
