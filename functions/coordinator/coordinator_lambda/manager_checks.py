"""Health checks of the managers: what can be wrong with each manager, and its own figures.

A check returns a finding, or raises a DomainError if a dependency does not respond. adapters.postgres.platform_figures
counts rows; adapters.aws.deployment_probes queries AWS.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from coordinator_lambda.monitoring_checks import (
    DASHBOARDS_SECONDS,
    LiveSettings,
    check_alarms,
    check_dashboards,
    check_logs,
    check_metrics,
    check_traces,
)
from coordinator_lambda.store_checks import AddressProbe, ReplicationReader, check_addresses, check_replication
from email_sender.adapters.aws.deployed_resources import Deployment
from email_sender.adapters.aws.deployment_probes import DeploymentProbes
from email_sender.adapters.web.otlp import OtlpExporter
from email_sender.coordination.configuration import CurrentSettings
from email_sender.coordination.lifecycle import Status
from email_sender.coordination.manager_status import Finding, HealthCheck, build_finding
from email_sender.coordination.registry import ManagerGraph
from email_sender.errors import Unavailable
from email_sender.kit.telemetry import AUDIT_BROKEN, BACKUP_AGE, OUTBOX_OLDEST

type FactsReader = Callable[[], Mapping[str, Any]]
type DeploymentReader = Callable[[], Deployment]
type Probe = Callable[[], None]

# Figures of managers from which metrics are made, for alarms.
GAUGES = {
    "outbox_oldest_seconds": OUTBOX_OLDEST, "last_backup_seconds_ago": BACKUP_AGE, "audit_broken": AUDIT_BROKEN,
}  # fmt: skip
_MAX_BACKUP_AGE_SECONDS = 26 * 3600.0


class Cached[T]:
    """One reading, or one failure to read, that all checks of an observation share."""

    def __init__(self, read: Callable[[], T], seconds: float = 2.0) -> None:
        self._read, self._seconds = read, seconds
        self._last: tuple[float, T | Unavailable] | None = None

    def __call__(self) -> T:
        if self._last is None or time.monotonic() - self._last[0] > self._seconds:
            try:
                result: T | Unavailable = self._read()
            except Unavailable as error:
                result = error
            self._last = (time.monotonic(), result)
        if isinstance(self._last[1], Unavailable):
            raise self._last[1]
        return self._last[1]


def build_checks(
    facts: FactsReader,
    deployment: DeploymentReader,
    probes: DeploymentProbes,
    graph: ManagerGraph,
    engine: Probe,
    api: Probe,
    replication: ReplicationReader,
    addresses: Mapping[str, AddressProbe],
    live: LiveSettings,
    read_settings: Callable[[], CurrentSettings],
    span_exporter: Callable[[], OtlpExporter | None] = lambda: None,
) -> dict[str, HealthCheck]:
    """Return the health checks by manager. A manager without a check is not configured.

    `engine` probes Qdrant, and `api` our own HTTP API. `addresses` probes the addresses of each store. `live` returns
    the settings in effect, `read_settings` the stored settings with their problems.
    """
    exporter = span_exporter()
    return {
        **({"tracing-manager": partial(check_traces, exporter)} if exporter else {}),
        "central-coordinator": partial(_check_bus, facts, deployment, live),
        "dependency-manager": partial(_check_versions, deployment, probes, graph),
        "api-gateway": partial(_check_api, api, deployment),
        "vectorization": partial(_check_vectors, engine, facts, deployment),
        "workflow-manager": partial(_check_workflows, facts, deployment, probes),
        "ai-template-manager": partial(_check_templates, facts, deployment),
        "notification-manager": partial(_check_mail, facts, deployment, probes),
        "security-manager": partial(_check_audit, facts),
        "tenant-manager": partial(_check_tenants, facts),
        "orchestrator": partial(_check_runs, facts, deployment),
        "backup-manager": partial(_check_backups, facts),
        "config-manager": partial(_check_settings, read_settings),
        "error-manager": partial(_check_failed_events, facts, deployment),
        "monitoring-manager": partial(_check_observation, facts, live),
        "metrics-manager": partial(check_metrics, probes, live),
        "alerting-manager": partial(check_alarms, probes),
        # Bodies change only with a deployment, and each costs a call.
        "dashboard-manager": partial(check_dashboards, probes, Cached(lambda: probes.dashboards(), DASHBOARDS_SECONDS)),
        "logging-manager": partial(check_logs, probes),
        "replication-manager": partial(check_replication, replication),
        "load-balancer": partial(check_addresses, addresses),
    }


def _disabled_sources(deployment: DeploymentReader, manager: str) -> dict[str, bool]:
    disabled = "A queue or schedule of this manager is disabled although the manager should run."
    return {disabled: deployment().sources_off.get(manager, 0) > 0}


def _check_bus(facts: FactsReader, deployment: DeploymentReader, live: LiveSettings) -> Finding:
    counts = facts()
    oldest_seconds = counts["outbox_oldest_seconds"]
    figures = {"outbox_pending": counts["outbox_pending"], "outbox_oldest_seconds": oldest_seconds}
    reason = f"The oldest event has been waiting {oldest_seconds:.0f} s for the recorder."
    return build_finding(
        {
            reason: oldest_seconds > live().health.outbox_late_seconds,
            **_disabled_sources(deployment, "central-coordinator"),
        },
        figures,
    )


def _check_versions(deployment: DeploymentReader, probes: DeploymentProbes, graph: ManagerGraph) -> Finding:
    versions = probes.versions(deployment().arns)
    if not versions:
        return Finding(Status.FAILED, "No function of this deployment was found by its tags.")
    reason = f"Functions of {len(versions)} versions are deployed: {', '.join(sorted(versions))}."
    return build_finding(
        {reason: len(versions) > 1}, {"managers": len(graph.order), "deployed_functions": sum(versions.values())}
    )


def _check_api(api: Probe, deployment: DeploymentReader) -> Finding:
    started = time.perf_counter()
    api()
    figures = {"answered_in_ms": round((time.perf_counter() - started) * 1000, 1)}
    return build_finding(_disabled_sources(deployment, "api-gateway"), figures)


def _check_vectors(engine: Probe, facts: FactsReader, deployment: DeploymentReader) -> Finding:
    engine()
    return build_finding(_disabled_sources(deployment, "vectorization"), {"imports_open": facts()["imports_open"]})


def _check_workflows(facts: FactsReader, deployment: DeploymentReader, probes: DeploymentProbes) -> Finding:
    probes.workflow_engine()
    return build_finding(
        _disabled_sources(deployment, "workflow-manager"), {"triggers_active": facts()["triggers_active"]}
    )


def _check_templates(facts: FactsReader, deployment: DeploymentReader) -> Finding:
    return build_finding(_disabled_sources(deployment, "ai-template-manager"), {"drafts": facts()["drafts"]})


def _check_mail(facts: FactsReader, deployment: DeploymentReader, probes: DeploymentProbes) -> Finding:
    counts, quota_used = facts(), probes.mail_quota_used()
    unknown_count = counts["emails_unknown"]
    figures = {
        "emails_on_their_way": counts["emails_on_their_way"],
        "emails_unknown": unknown_count,
        "mail_quota_used": round(quota_used, 3),
        "notifications_due": counts["notifications_due"],
    }
    if quota_used >= 1:
        return Finding(Status.FAILED, "The account's SES quota for 24 hours is used up.", figures)
    reason = f"{unknown_count} emails may or may not have been sent. An operator must decide."
    return build_finding({reason: unknown_count > 0, **_disabled_sources(deployment, "notification-manager")}, figures)


def _check_audit(facts: FactsReader) -> Finding:
    counts = facts()
    broken_at = counts["audit_broken_at"]
    figures = {"audit_entries": counts["audit_entries"], "audit_broken": int(broken_at is not None)}
    return build_finding(
        {f"The audit log's chain is broken at entry {broken_at}.": broken_at is not None}, figures, Status.FAILED
    )


def _check_tenants(facts: FactsReader) -> Finding:
    counts = facts()
    open_tables = counts["tables_not_sealed"]
    reason = f"{open_tables} tables with tenants' data have no row-level security."
    return build_finding({reason: open_tables > 0}, {"tenants": counts["tenants"]}, Status.FAILED)


def _check_runs(facts: FactsReader, deployment: DeploymentReader) -> Finding:
    counts = facts()
    late_count = counts["runs_not_begun"]
    figures = {"runs_open": counts["runs_open"], "runs_not_begun": late_count}
    reason = f"{late_count} runs have been waiting to start for more than five minutes."
    return build_finding({reason: late_count > 0, **_disabled_sources(deployment, "orchestrator")}, figures)


def _check_settings(read_settings: Callable[[], CurrentSettings]) -> Finding:
    current = read_settings()
    flags = current.settings["features"].values()
    figures = {
        "settings_version": current.version,
        "features": len(flags),
        "features_off": sum(not flag["default"] for flag in flags),
        "tenants_otherwise": sum(len(flag["tenants"]) for flag in flags),
    }
    problem_texts = "; ".join(f"{problem.pointer}: {problem.message}" for problem in current.problems[:3])
    reason = f"Version {current.version} of the settings is invalid, and no function uses it: {problem_texts}"
    return build_finding({reason: bool(current.problems)}, figures)


def _check_failed_events(facts: FactsReader, deployment: DeploymentReader) -> Finding:
    counts = facts()
    failed_count, parked_count = counts["events_failed"], counts["events_parked"]
    figures = {"events_failed": failed_count, "events_parked": parked_count, "circuits_open": counts["circuits_open"]}
    reason = f"{failed_count + parked_count} events have failed. GET /events/failed lists the reasons."
    return build_finding(
        {reason: failed_count + parked_count > 0, **_disabled_sources(deployment, "error-manager")}, figures
    )


def _check_backups(facts: FactsReader) -> Finding:
    counts = facts()
    age_seconds, last_failed = counts["backup_seconds_ago"], counts["backup_last_failed"]
    problems = {
        "There is no backup yet.": age_seconds is None,
        "The last complete backup is older than 26 hours.": age_seconds is not None
        and age_seconds > _MAX_BACKUP_AGE_SECONDS,
        "The last backup failed. Its row has the reason.": bool(last_failed),
    }
    return build_finding(problems, {"last_backup_seconds_ago": age_seconds, "backups": counts["backups"]})


def _check_observation(facts: FactsReader, live: LiveSettings) -> Finding:
    seconds_ago = facts()["clock_seconds_ago"]
    figures = {"clock_rang_seconds_ago": seconds_ago}
    reason = "The observer's schedule has not invoked it for too long."
    return build_finding({reason: seconds_ago is not None and seconds_ago > live().health.clock_late_seconds}, figures)
