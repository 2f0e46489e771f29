"""The composition root: what this area's functions are built of, once a sandbox."""

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import cache, partial
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from coordinator.checks import Kept, checks
from email_sender.adapters.backup_store import S3Backups
from email_sender.adapters.bus_consumers import BusConsumers, Listener
from email_sender.adapters.deployment_probes import DeploymentProbes
from email_sender.adapters.eventbridge import EventBridgeBus
from email_sender.adapters.parts import DeployedParts
from email_sender.adapters.postgres.audit import PostgresAudit, audited
from email_sender.adapters.postgres.backups import PostgresBackups
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.directory import Directory
from email_sender.adapters.postgres.dump import PostgresDump
from email_sender.adapters.postgres.event_history import PostgresEventHistory
from email_sender.adapters.postgres.events import OutboxRelay, PostgresEventLog, PostgresEvents
from email_sender.adapters.postgres.failed_events import PostgresFailedEvents
from email_sender.adapters.postgres.figures import read_figures
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.managers import announce, manager_units
from email_sender.adapters.postgres.settings import settings_units
from email_sender.adapters.postgres.unit import Units
from email_sender.adapters.probes import http
from email_sender.adapters.sqs import SqsQueues
from email_sender.backups.steps import BackupSteps
from email_sender.coordination.configuring import Configuration
from email_sender.coordination.events import PLATFORM_TENANT, Event
from email_sender.coordination.failing import Redrive
from email_sender.coordination.gate import Gate
from email_sender.coordination.managers import Lifecycle, ManagerUnits
from email_sender.coordination.observing import Observer, StatusService
from email_sender.coordination.recording import Recorder
from email_sender.coordination.registry import Graph
from email_sender.coordination.replaying import Replay
from email_sender.kit.ambient import new_id, now
from email_sender.kit.clients import client
from email_sender.kit.config import BackupSettings, BusSettings, DatabaseSettings, NonEmpty
from email_sender.kit.gate import gate_of
from email_sender.kit.http import BASE_PATH
from email_sender.kit.live_settings import live_settings, settings_store
from email_sender.kit.resources import backup_database, database, platform_database
from email_sender.kit.settings import complete
from email_sender.kit.telemetry import NAMESPACE


class Queue(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    queue: NonEmpty
    dead: NonEmpty


class Rule(BaseModel):
    """A rule's name, or what the names of several begin with. CloudFormation refers to a rule of a bus as bus|rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Annotated[str, AfterValidator(lambda named: named.rpartition("|")[2])] = ""
    prefix: str = ""


class Settings(DatabaseSettings, BusSettings):
    """`qdrant_health_url` is the engine's /healthz, `public_url` our own API's without its base path."""

    qdrant_health_url: NonEmpty
    public_url: NonEmpty


@cache
def _database() -> Database:
    return database(DatabaseSettings.from_environment())


@cache
def _bus() -> EventBridgeBus:
    return EventBridgeBus(lambda: client("events"), BusSettings.from_environment().event_bus)


@cache
def platform() -> Database:
    return platform_database()


@cache
def units() -> Units:
    return Units(_database(), _bus())


@cache
def events() -> PostgresEvents:
    return PostgresEvents(_database())


@cache
def recorder() -> Recorder:
    return Recorder(PostgresEventLog(platform()))


@cache
def relay() -> OutboxRelay:
    return OutboxRelay(platform(), _bus())


@cache
def directory() -> Directory:
    return Directory(platform())


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
    return PostgresIdempotency(_database())


@cache
def gate() -> Gate:
    return gate_of(_database())


@cache
def platform_gate() -> Gate:
    """For functions that have no role but the platform's."""
    return gate_of(platform())


@cache
def audit() -> PostgresAudit:
    return PostgresAudit(_database())


@cache
def graph() -> Graph:
    return Graph()


@cache
def _parts() -> DeployedParts:
    stage = DatabaseSettings.from_environment().stage
    return DeployedParts(
        lambda: client("resourcegroupstaggingapi"), lambda: client("lambda"), lambda: client("scheduler"), stage
    )


@cache
def _manager_units() -> ManagerUnits:
    return manager_units(platform(), graph().order, _bus())


@cache
def lifecycle() -> Lifecycle:
    return Lifecycle(graph(), _manager_units(), _parts(), now)


@cache
def configuration() -> Configuration:
    return Configuration(settings_store(), settings_units(platform()), complete)


@cache
def observer() -> Observer:
    settings = Settings.from_environment()
    # Its own patience: who looks wants to know soon that the database does not answer.
    hasty = platform_database(timeout=3)
    facts, deployment = Kept(partial(read_figures, hasty)), Kept(_parts().seen)
    probes = DeploymentProbes(client, settings.stage, NAMESPACE)
    engine = partial(http, settings.qdrant_health_url)
    api = partial(http, f"{settings.public_url}{BASE_PATH}/version")
    units = manager_units(hasty, graph().order, _bus())
    checked = checks(facts, deployment, probes, graph(), engine, api, live_settings, configuration().current)
    return Observer(graph(), units, checked, lambda: deployment().functions, now)


@cache
def status_service() -> StatusService:
    return StatusService(observer(), graph(), now)


class QueueSettings(BusSettings):
    """`consumer_queues`: of each consumer its queue's URL, `queue`, and its dead letters' ARN, `dead`."""

    consumer_queues: Annotated[Mapping[str, Queue], BeforeValidator(json.loads)]


@cache
def _queues() -> Mapping[str, Queue]:
    return QueueSettings.from_environment().consumer_queues


def consumer_of(dead_letters: str) -> str:
    """By the ARN of its dead-letter queue. What no consumer was given is `undelivered`."""
    return next((name for name, each in _queues().items() if each.dead == dead_letters), "undelivered")


@cache
def failed_events() -> PostgresFailedEvents:
    return PostgresFailedEvents(platform())


@cache
def redrive() -> Redrive:
    urls = {name: each.queue for name, each in _queues().items()}
    return Redrive(failed_events(), SqsQueues(lambda: client("sqs"), urls))


class ReplaySettings(BusSettings):
    """`bus_listeners`: of each consumer of the bus its rule, or the prefix of its rules."""

    bus_listeners: Annotated[Mapping[str, Rule], BeforeValidator(json.loads)]
    account_id: NonEmpty
    aws_region: NonEmpty


@cache
def replay() -> Replay:
    settings = ReplaySettings.from_environment()
    listeners = {name: Listener(name, each.rule, each.prefix) for name, each in settings.bus_listeners.items()}
    queues = SqsQueues(lambda: client("sqs"), {name: each.queue for name, each in _queues().items()})
    consumers = BusConsumers(lambda: client("events"), settings.event_bus, listeners, queues)
    history = PostgresEventHistory(platform())
    return Replay(history, consumers, partial(audited, platform()), settings.account_id, settings.aws_region)


def announce_ready() -> None:
    """`system.ready`, once for every version that is deployed and answers."""
    known = Settings.from_environment()
    event = Event(
        id=new_id(),
        type="system.ready",
        area="coordinator",
        tenant_id=PLATFORM_TENANT,
        aggregate_id="platform",
        occurred_at=now(),
        data={"stage": known.stage, "version": known.version},
        priority=1,
    )
    announce(platform(), _bus(), event, known.version)


def software_version() -> str:
    return DatabaseSettings.from_environment().version
