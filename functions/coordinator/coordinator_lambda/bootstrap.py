"""Composition root: what this area's functions are built of, once per execution environment."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache, partial
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from coordinator_lambda.manager_checks import Cached, build_checks
from email_sender.adapters.aws.backup_store import S3Backups
from email_sender.adapters.aws.bus_consumers import BusConsumers, Listener
from email_sender.adapters.aws.cloudwatch_dashboards import CloudWatchDashboards
from email_sender.adapters.aws.deployed_resources import DeployedResources
from email_sender.adapters.aws.deployment_probes import DeploymentProbes
from email_sender.adapters.aws.eventbridge import EventBridgeBus
from email_sender.adapters.aws.sqs import SqsQueues
from email_sender.adapters.postgres.audit import PostgresAudit, add_platform_entry
from email_sender.adapters.postgres.backups import PostgresBackups
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.dump import PostgresDump
from email_sender.adapters.postgres.event_log import OutboxRelay, PostgresEventLog, PostgresEvents
from email_sender.adapters.postgres.event_replays import PostgresEventHistory
from email_sender.adapters.postgres.failed_events import PostgresFailedEvents
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.log_level import PostgresLogLevel
from email_sender.adapters.postgres.managers import manager_units, publish_once_per_version
from email_sender.adapters.postgres.metric_totals import PostgresMetricTotals
from email_sender.adapters.postgres.platform_figures import read_figures
from email_sender.adapters.postgres.replication import read_replication
from email_sender.adapters.postgres.settings_versions import settings_units
from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.adapters.postgres.unclaimed_mail import PostgresUnclaimedMail
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.web.addresses import host_and_port, probe_addresses
from email_sender.adapters.web.otlp import OtlpExporter
from email_sender.adapters.web.probes import probe_http
from email_sender.backups.steps import BackupSteps
from email_sender.coordination.configuration import Configuration
from email_sender.coordination.dashboards import Dashboards, Panel, Widget
from email_sender.coordination.event_recorder import Recorder
from email_sender.coordination.events import PLATFORM_TENANT, EventFactory
from email_sender.coordination.failed_events import Redrive
from email_sender.coordination.lifecycle import Lifecycle, ManagerUnits, State, Status
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.coordination.manager_status import Observer, StatusService
from email_sender.coordination.registry import ManagerGraph
from email_sender.coordination.replays import Replay
from email_sender.kit.api_paths import BASE_PATH
from email_sender.kit.aws_clients import client
from email_sender.kit.denials import Denials
from email_sender.kit.environment import BackupSettings, BusSettings, DatabaseSettings, NonEmpty
from email_sender.kit.live_settings import live_settings, settings_store
from email_sender.kit.platform_settings import with_defaults
from email_sender.kit.resources import backup_database, database, manager_gate, platform_database, secret_text
from email_sender.kit.system_clock import new_id, now
from email_sender.kit.telemetry import NAMESPACE, count_manager_failure, logger, record_manager_recovery

_WIDGETS_AT_ONCE = 8
_EVENTS = EventFactory("coordinator", now, new_id)


class Queue(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    queue: NonEmpty
    dead: NonEmpty


class Rule(BaseModel):
    """A rule's name, or the prefix of several rules' names. CloudFormation refers to a rule of a bus as bus|rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Annotated[str, AfterValidator(lambda rule_name: rule_name.rpartition("|")[2])] = ""
    prefix: str = ""


class Settings(DatabaseSettings, BusSettings):
    """`qdrant_health_url` is the engine's /healthz; `public_url` is our own API's URL without the base path."""

    qdrant_health_url: NonEmpty
    """URL of Qdrant's `/healthz`."""
    public_url: NonEmpty
    """Public address of the API without the base path."""


@cache
def app_database() -> Database:
    return database(DatabaseSettings.from_environment())


@cache
def bus() -> EventBridgeBus:
    return EventBridgeBus(lambda: client("events"), BusSettings.from_environment().event_bus)


@cache
def platform() -> Database:
    return platform_database()


@cache
def units() -> Units:
    return Units(app_database(), bus())


@cache
def events() -> PostgresEvents:
    return PostgresEvents(app_database())


@cache
def recorder() -> Recorder:
    return Recorder(PostgresEventLog(platform()))


@cache
def relay() -> OutboxRelay:
    return OutboxRelay(platform(), bus())


@cache
def log_level() -> PostgresLogLevel:
    return PostgresLogLevel(platform())


@cache
def metric_totals() -> PostgresMetricTotals:
    return PostgresMetricTotals(platform())


class ReportSettings(DatabaseSettings):
    """What the daily report is about, and where it goes."""

    api_id: NonEmpty
    """Id of the HTTP API."""
    notice_topic: NonEmpty
    """ARN of the topic of notices."""


class TraceSettings(DatabaseSettings):
    """Where spans are sent."""

    trace_endpoint: str = ""
    """URL of an OpenTelemetry collector for OTLP over HTTP, with /v1/traces; empty - no tracing."""
    trace_secret_arn: str = ""
    """The secret whose JSON has the headers that the collector asks for."""


@cache
def span_exporter() -> OtlpExporter | None:
    """Return the exporter of spans, or None if tracing is off."""
    settings = TraceSettings.from_environment()
    if not settings.trace_endpoint:
        return None

    def read_headers() -> dict[str, str]:
        return dict(json.loads(secret_text(settings.trace_secret_arn))) if settings.trace_secret_arn else {}

    resource = {"deployment.environment.name": settings.stage, "service.version": settings.version}
    return OtlpExporter(settings.trace_endpoint, read_headers, resource)


@cache
def dashboards() -> Dashboards:
    prefix = f"email-sender-{Settings.from_environment().stage}-"
    source = CloudWatchDashboards(lambda: client("cloudwatch"), prefix)
    return Dashboards(source, now, _at_once)


def _at_once(read: Callable[[Widget], Panel], widgets: Sequence[Widget]) -> Sequence[Panel]:
    with ThreadPoolExecutor(_WIDGETS_AT_ONCE) as threads:
        return list(threads.map(read, widgets))


@cache
def directory() -> TenantDirectory:
    return TenantDirectory(platform())


@cache
def backup_steps() -> BackupSteps:
    settings = BackupSettings.from_environment()
    return BackupSteps(
        PostgresBackups(platform()),
        PostgresDump(backup_database()),
        S3Backups(lambda: client("s3"), settings.backups_bucket),
        settings.version,
        timedelta(days=settings.backup_retention_days),
        now,
        new_id,
    )


@cache
def idempotency() -> PostgresIdempotency:
    return PostgresIdempotency(app_database())


@cache
def denials() -> Denials:
    return Denials(units(), EventFactory("security", now, new_id), now)


@cache
def gate() -> ManagerGate:
    return manager_gate(app_database())


@cache
def platform_gate() -> ManagerGate:
    """The gate for functions that have only the platform's database role."""
    return manager_gate(platform())


@cache
def audit() -> PostgresAudit:
    return PostgresAudit(app_database())


@cache
def graph() -> ManagerGraph:
    return ManagerGraph()


@cache
def _deployed_resources() -> DeployedResources:
    stage = DatabaseSettings.from_environment().stage
    return DeployedResources(
        lambda: client("resourcegroupstaggingapi"), lambda: client("lambda"), lambda: client("scheduler"), stage
    )


@cache
def _manager_units() -> ManagerUnits:
    return manager_units(platform(), graph().order, bus())


@cache
def lifecycle() -> Lifecycle:
    return Lifecycle(graph(), _manager_units(), _deployed_resources(), _EVENTS)


@cache
def configuration() -> Configuration:
    return Configuration(settings_store(), settings_units(platform()), with_defaults)


@cache
def observer() -> Observer:
    settings = Settings.from_environment()
    # A short timeout, so that a caller soon learns that the database does not respond.
    quick_database = platform_database(timeout=3)
    facts, deployment = Cached(partial(read_figures, quick_database)), Cached(_deployed_resources().read_deployment)
    probes = DeploymentProbes(client, settings.stage, NAMESPACE, now)
    engine = partial(probe_http, settings.qdrant_health_url, "Qdrant")
    api = partial(probe_http, f"{settings.public_url}{BASE_PATH}/version", "The public address of the API")
    replication = partial(read_replication, quick_database)
    addresses = {
        "engine": partial(probe_addresses, *host_and_port(settings.qdrant_health_url)),
        "database": partial(probe_addresses, settings.database_host, settings.database_port),
    }
    quick_units = manager_units(quick_database, graph().order, bus())
    health_checks = build_checks(
        facts,
        deployment,
        probes,
        graph(),
        engine,
        api,
        replication,
        addresses,
        live_settings,
        configuration().current,
        span_exporter,
    )
    return Observer(
        graph(), quick_units, health_checks, lambda: deployment().functions, _EVENTS, _report_change, _report_error
    )


def _report_error(manager: str, error: Exception) -> None:
    logger.error("the check of a manager failed", manager=manager, exc_info=error)


def _report_change(before: State, after: State) -> None:
    if after.status is Status.FAILED:
        count_manager_failure(after.name)
    elif before.status is Status.FAILED and after.status.is_active and before.changed_at and after.changed_at:
        record_manager_recovery(after.name, (after.changed_at - before.changed_at).total_seconds())


@cache
def status_service() -> StatusService:
    return StatusService(observer(), graph(), now)


class QueueSettings(BusSettings):
    """`consumer_queues` holds each consumer's queue URL, `queue`, and the ARN of its dead-letter queue, `dead`."""

    consumer_queues: Annotated[Mapping[str, Queue], BeforeValidator(json.loads)]
    """JSON: `queue` (URL) and `dead` (ARN of the dead-letter queue) by consumer."""


@cache
def _queues() -> Mapping[str, Queue]:
    return QueueSettings.from_environment().consumer_queues


def consumer_for(dead_letter_arn: str) -> str:
    """Return the consumer whose dead-letter queue has this ARN, or `undelivered` if no consumer has it."""
    return next((name for name, queue in _queues().items() if queue.dead == dead_letter_arn), "undelivered")


@cache
def unclaimed_mail() -> PostgresUnclaimedMail:
    return PostgresUnclaimedMail(platform_database())


@cache
def failed_events() -> PostgresFailedEvents:
    return PostgresFailedEvents(platform())


@cache
def redrive() -> Redrive:
    urls = {name: queue.queue for name, queue in _queues().items()}
    return Redrive(failed_events(), SqsQueues(lambda: client("sqs"), urls))


class ReplaySettings(BusSettings):
    """`bus_listeners` holds each bus consumer's rule, or the prefix of its rules' names."""

    bus_listeners: Annotated[Mapping[str, Rule], BeforeValidator(json.loads)]
    """JSON: `rule` or `prefix` of the EventBridge rules by consumer."""
    account_id: NonEmpty
    """AWS account id."""
    aws_region: NonEmpty
    """AWS region, set by Lambda."""


@cache
def replay() -> Replay:
    settings = ReplaySettings.from_environment()
    listeners = {name: Listener(name, rule.rule, rule.prefix) for name, rule in settings.bus_listeners.items()}
    queues = SqsQueues(lambda: client("sqs"), {name: queue.queue for name, queue in _queues().items()})
    consumers = BusConsumers(lambda: client("events"), settings.event_bus, listeners, queues)
    history = PostgresEventHistory(platform())
    return Replay(history, consumers, partial(add_platform_entry, platform()), settings.account_id, settings.aws_region)


def publish_ready_event() -> None:
    """Publish `system.ready`, once for every version that is deployed and responds."""
    settings = Settings.from_environment()
    data = {"stage": settings.stage, "version": settings.version}
    event = _EVENTS.build("system.ready", PLATFORM_TENANT, "platform", data, priority=1)
    publish_once_per_version(platform(), bus(), event, settings.version)


def software_version() -> str:
    return DatabaseSettings.from_environment().version
