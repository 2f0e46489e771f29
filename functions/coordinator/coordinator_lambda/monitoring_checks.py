"""Health checks of the managers that watch the others: metrics, alarms, dashboards and logs."""

import re
import time
from collections.abc import Callable, Mapping

from email_sender.adapters.aws.deployment_probes import DeploymentProbes
from email_sender.adapters.web.otlp import OtlpExporter
from email_sender.coordination.lifecycle import Status
from email_sender.coordination.manager_status import Finding, build_finding
from email_sender.errors import Unavailable
from email_sender.kit.platform_settings import PlatformSettings
from email_sender.kit.telemetry import MANAGER_STATUS, OUTBOX_OLDEST

type LiveSettings = Callable[[], PlatformSettings]

# CloudWatch shows a metric some minutes after it was logged.
_METRIC_DELAY_SECONDS = 300.0
DASHBOARDS_SECONDS = 600.0
_MAX_NO_DATA_SECONDS = 3600.0


def check_metrics(probes: DeploymentProbes, live: LiveSettings) -> Finding:
    """The checks of the managers are recorded each minute, so their metric shows whether metrics arrive at all."""
    series = probes.series_counts([MANAGER_STATUS])[MANAGER_STATUS]
    seconds_ago = probes.last_metric_seconds_ago(MANAGER_STATUS, {"manager_name": "central-coordinator"})
    late_seconds = live().health.clock_late_seconds + _METRIC_DELAY_SECONDS
    problems = {
        f"CloudWatch has had no new metric of this stage for more than {late_seconds:.0f} s.": series > 0
        and (seconds_ago is None or seconds_ago > late_seconds)
    }
    return build_finding(problems, {"series": series, "last_metric_seconds_ago": seconds_ago})


def check_alarms(probes: DeploymentProbes) -> Finding:
    alarms = probes.alarms()
    if not alarms:
        return Finding(Status.FAILED, "This deployment has no alarms.")
    silent = sorted(alarm.name for alarm in alarms if not alarm.can_notify)
    blind = sorted(alarm.name for alarm in alarms if alarm.no_data_seconds > _MAX_NO_DATA_SECONDS)
    problems = {
        f"Actions are switched off: {', '.join(silent)}.": bool(silent),
        f"Without data for more than an hour: {', '.join(blind)}.": bool(blind),
    }
    figures = {"alarms": len(alarms), "in_alarm": sum(alarm.is_on for alarm in alarms), "without_data": len(blind)}
    return build_finding(problems, figures)


def check_dashboards(probes: DeploymentProbes, read_dashboards: Callable[[], Mapping[str, str]]) -> Finding:
    """The metrics that are sent each minute must be on a dashboard, and must have arrived."""
    dashboards, counts = read_dashboards(), probes.series_counts([MANAGER_STATUS, OUTBOX_OLDEST])
    if not dashboards:
        return Finding(Status.FAILED, "This deployment has no dashboards.")
    known_names = {name for name, count in counts.items() if count}
    # A stage that has just started has none yet.
    expected = set(counts) if known_names else set()
    shown = {name for body in dashboards.values() for name in re.findall(r"email_sender_\w+", body)}
    empty = sorted((expected & shown) - known_names)
    missing = sorted(expected - shown)
    problems = {
        f"Widgets have no data: {', '.join(empty)}.": bool(empty),
        f"No dashboard shows {', '.join(missing)}.": bool(missing),
    }
    return build_finding(problems, {"dashboards": len(dashboards), "metrics_shown": len(shown)})


def check_logs(probes: DeploymentProbes) -> Finding:
    groups = probes.log_groups()
    if not groups:
        return Finding(Status.FAILED, "This deployment has no log groups.")
    unlimited_groups = [group.name for group in groups if group.retention_days is None]
    return build_finding(
        {f"Retained without limit: {', '.join(unlimited_groups)}.": bool(unlimited_groups)}, {"log_groups": len(groups)}
    )


def check_traces(exporter: OtlpExporter) -> Finding:
    """The collector must accept a request. Without a collector, tracing is not configured.

    The platform works without traces, so this is never a failure.
    """
    started = time.perf_counter()
    try:
        exporter.probe()
    except Unavailable as error:
        return Finding(Status.DEGRADED, error.detail)
    return Finding(figures={"collector_answered_in_ms": round((time.perf_counter() - started) * 1000, 1)})
