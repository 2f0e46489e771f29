"""Each manager's health: what could be wrong with it, and a figure of its own.

A check returns what it finds, or raises the domain's error for what does not answer. Counting is in
adapters.postgres.figures, asking AWS in adapters.deployment_probes.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from email_sender.adapters.deployment_probes import DeploymentProbes
from email_sender.adapters.parts import Deployment
from email_sender.coordination.configuring import Current
from email_sender.coordination.managers import Status
from email_sender.coordination.observing import Check, Finding
from email_sender.coordination.registry import Graph
from email_sender.errors import Unavailable
from email_sender.kit.settings import PlatformSettings

type Facts = Callable[[], Mapping[str, Any]]
type Deployed = Callable[[], Deployment]
type Probe = Callable[[], None]
type Live = Callable[[], PlatformSettings]

_BACKUP_SECONDS = 26 * 3600.0


class Kept[T]:
    """One reading, or one failure to read, for all checks of a look."""

    def __init__(self, read: Callable[[], T], seconds: float = 2.0) -> None:
        self._read, self._seconds = read, seconds
        self._last: tuple[float, T | Unavailable] | None = None

    def __call__(self) -> T:
        if self._last is None or time.monotonic() - self._last[0] > self._seconds:
            try:
                found: T | Unavailable = self._read()
            except Unavailable as error:
                found = error
            self._last = (time.monotonic(), found)
        if isinstance(self._last[1], Unavailable):
            raise self._last[1]
        return self._last[1]


def checks(
    facts: Facts,
    deployment: Deployed,
    probes: DeploymentProbes,
    graph: Graph,
    engine: Probe,
    api: Probe,
    live: Live,
    stored: Callable[[], Current],
) -> dict[str, Check]:
    """By manager. What is not named here is not configured.

    `engine` asks Qdrant, `api` our own HTTP API; `live` are the settings that checks go by, `stored` what is stored of
    them.
    """
    return {
        "central-coordinator": partial(_bus, facts, deployment, live),
        "dependency-manager": partial(_versions, deployment, probes, graph),
        "api-gateway": partial(_api, api, deployment),
        "vectorization": partial(_vectors, engine, facts, deployment),
        "workflow-manager": partial(_workflows, facts, deployment, probes),
        "ai-template-manager": partial(_templates, facts, deployment),
        "notification-manager": partial(_mail, facts, deployment, probes),
        "security-manager": partial(_audit, facts),
        "tenant-manager": partial(_tenants, facts),
        "orchestrator": partial(_runs, facts, deployment),
        "backup-manager": partial(_backups, facts),
        "config-manager": partial(_settings, stored),
        "error-manager": partial(_failed, facts, deployment),
        "monitoring-manager": partial(_observation, facts, live),
        "metrics-manager": partial(_series, probes),
        "logging-manager": partial(_logs, probes),
    }


def finding(wrong: Mapping[str, bool], figures: Mapping[str, Any], status: Status = Status.DEGRADED) -> Finding:
    """`wrong`: sentences, and whether each is so."""
    said = [sentence for sentence, so in wrong.items() if so]
    return Finding(status if said else Status.RUNNING, " ".join(said) or None, figures)


def _off(deployment: Deployed, manager: str) -> dict[str, bool]:
    return {"A queue or a clock of it is off, though it should run.": deployment().sources_off.get(manager, 0) > 0}


def _bus(facts: Facts, deployment: Deployed, live: Live) -> Finding:
    known = facts()
    late = known["outbox_oldest_seconds"]
    figures = {"outbox_pending": known["outbox_pending"], "outbox_oldest_seconds": late}
    said = f"The oldest event waits for the recorder since {late:.0f} s."
    return finding({said: late > live().health.outbox_late_seconds, **_off(deployment, "central-coordinator")}, figures)


def _versions(deployment: Deployed, probes: DeploymentProbes, graph: Graph) -> Finding:
    versions = probes.versions(deployment().arns)
    if not versions:
        return Finding(Status.FAILED, "No function of this deployment is found by its tags.")
    mixed = f"Functions of {len(versions)} versions are deployed: {', '.join(sorted(versions))}."
    return finding(
        {mixed: len(versions) > 1}, {"managers": len(graph.order), "deployed_functions": sum(versions.values())}
    )


def _api(api: Probe, deployment: Deployed) -> Finding:
    started = time.perf_counter()
    api()
    figures = {"answered_in_ms": round((time.perf_counter() - started) * 1000, 1)}
    return finding(_off(deployment, "api-gateway"), figures)


def _vectors(engine: Probe, facts: Facts, deployment: Deployed) -> Finding:
    engine()
    return finding(_off(deployment, "vectorization"), {"imports_open": facts()["imports_open"]})


def _workflows(facts: Facts, deployment: Deployed, probes: DeploymentProbes) -> Finding:
    probes.workflow_engine()
    return finding(_off(deployment, "workflow-manager"), {"triggers_active": facts()["triggers_active"]})


def _templates(facts: Facts, deployment: Deployed) -> Finding:
    return finding(_off(deployment, "ai-template-manager"), {"drafts": facts()["drafts"]})


def _mail(facts: Facts, deployment: Deployed, probes: DeploymentProbes) -> Finding:
    known, used = facts(), probes.mail_quota()
    unknown = known["emails_unknown"]
    figures = {
        "emails_on_their_way": known["emails_on_their_way"],
        "emails_unknown": unknown,
        "mail_quota_used": round(used, 3),
        "notifications_due": known["notifications_due"],
    }
    if used >= 1:
        return Finding(Status.FAILED, "All mail that SES takes of this account in 24 hours is sent.", figures)
    said = f"{unknown} emails may or may not have been sent: a person has to decide."
    return finding({said: unknown > 0, **_off(deployment, "notification-manager")}, figures)


def _audit(facts: Facts) -> Finding:
    known = facts()
    broken = known["audit_broken_at"]
    figures = {"audit_entries": known["audit_entries"]}
    return finding({f"The audit log's chain is broken at entry {broken}.": broken is not None}, figures, Status.FAILED)


def _tenants(facts: Facts) -> Finding:
    known = facts()
    open_tables = known["tables_not_sealed"]
    said = f"{open_tables} tables of tenants are not behind row-level security."
    return finding({said: open_tables > 0}, {"tenants": known["tenants"]}, Status.FAILED)


def _runs(facts: Facts, deployment: Deployed) -> Finding:
    known = facts()
    late = known["runs_not_begun"]
    figures = {"runs_open": known["runs_open"], "runs_not_begun": late}
    said = f"{late} runs wait to begin for more than five minutes."
    return finding({said: late > 0, **_off(deployment, "orchestrator")}, figures)


def _settings(stored: Callable[[], Current]) -> Finding:
    current = stored()
    flags = current.settings["features"].values()
    figures = {
        "settings_version": current.version,
        "features": len(flags),
        "features_off": sum(not each["default"] for each in flags),
        "tenants_otherwise": sum(len(each["tenants"]) for each in flags),
    }
    words = "; ".join(f"{each.pointer}: {each.message}" for each in current.problems[:3])
    said = f"Version {current.version} of the settings does not fit, and no function takes it: {words}"
    return finding({said: bool(current.problems)}, figures)


def _failed(facts: Facts, deployment: Deployed) -> Finding:
    known = facts()
    failed, parked = known["events_failed"], known["events_parked"]
    figures = {"events_failed": failed, "events_parked": parked, "circuits_open": known["circuits_open"]}
    said = f"{failed + parked} events failed for good: GET /events/failed says why."
    return finding({said: failed + parked > 0, **_off(deployment, "error-manager")}, figures)


def _backups(facts: Facts) -> Finding:
    known = facts()
    age, failed = known["backup_seconds_ago"], known["backup_last_failed"]
    wrong = {
        "There is no backup yet.": age is None,
        "The last whole backup is older than a day and two hours.": age is not None and age > _BACKUP_SECONDS,
        "The last backup failed: its row says why.": bool(failed),
    }
    return finding(wrong, {"last_backup_seconds_ago": age, "backups": known["backups"]})


def _observation(facts: Facts, live: Live) -> Finding:
    ago = facts()["clock_seconds_ago"]
    figures = {"clock_rang_seconds_ago": ago}
    said = "The observer's clock has not rung for too long."
    return finding({said: ago is not None and ago > live().health.clock_late_seconds}, figures)


def _series(probes: DeploymentProbes) -> Finding:
    return Finding(figures={"series": probes.series()})


def _logs(probes: DeploymentProbes) -> Finding:
    groups = probes.log_groups()
    if not groups:
        return Finding(Status.FAILED, "There is no log group of this deployment.")
    kept = [each.name for each in groups if each.retention_days is None]
    return finding({f"Kept for ever: {', '.join(kept)}.": bool(kept)}, {"log_groups": len(groups)})
