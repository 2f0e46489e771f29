"""The composition root: what this area's functions are built of, once a sandbox."""

from datetime import timedelta
from functools import cache

from email_sender.adapters.backup_store import S3Backups
from email_sender.adapters.eventbridge import EventBridgeBus
from email_sender.adapters.postgres.backups import PostgresBackups
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.directory import Directory
from email_sender.adapters.postgres.dump import PostgresDump
from email_sender.adapters.postgres.events import OutboxRelay, PostgresEventLog, PostgresEvents
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.unit import Units
from email_sender.backups.steps import BackupSteps
from email_sender.coordination.recording import Recorder
from email_sender.kit.ambient import new_id, now
from email_sender.kit.clients import client
from email_sender.kit.config import BackupSettings, BusSettings, DatabaseSettings
from email_sender.kit.resources import backup_database, database, platform_database


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
