"""The part of the composition root that only jobs and backups need: the platform's role, exports, other engines."""

from functools import cache

from email_sender.adapters.backup_points import S3BackupPoints
from email_sender.adapters.backup_store import S3Backups
from email_sender.adapters.exports import S3Exports
from email_sender.adapters.postgres.archive_texts import ArchiveTexts
from email_sender.adapters.postgres.backups import PostgresBackups
from email_sender.adapters.postgres.jobs import PostgresRegistry
from email_sender.adapters.qdrant.copying import QdrantCopying
from email_sender.backups.points import PointsBackup
from email_sender.kit.ambient import new_id, now
from email_sender.kit.clients import client
from email_sender.kit.config import BackupSettings, VaultSettings
from email_sender.kit.resources import key_wrapper, platform_database
from email_sender.vectors.job_steps import JobSteps
from email_sender.vectors.preparing import Preparation
from vectors.bootstrap import (
    app_database,
    configured_collections,
    engine_channel,
    engine_index,
    import_settings,
    job_units,
    models,
    placement,
)
from vectors.job_sources import JobSources


@cache
def registry() -> PostgresRegistry:
    return PostgresRegistry(platform_database())


@cache
def copying() -> QdrantCopying:
    return QdrantCopying(engine_channel, configured_collections(), placement())


@cache
def preparation() -> Preparation:
    names = {collection: frozenset(found) for collection, found in models().items()}
    return Preparation(engine_index(), copying(), registry(), configured_collections(), names)


@cache
def job_steps() -> JobSteps:
    exports = S3Exports(lambda: client("s3"), import_settings().uploads_bucket)
    sources = JobSources(copying(), exports, models(), _archive, _secret)
    return JobSteps(job_units(), registry(), copying(), sources, exports, now, new_id)


@cache
def points_backup() -> PointsBackup:
    store = S3Backups(lambda: client("s3"), BackupSettings.from_environment().backups_bucket)
    return PointsBackup(PostgresBackups(platform_database()), S3BackupPoints(store), copying())


@cache
def _archive() -> ArchiveTexts:
    from email_sender.adapters.vault import PostgresVault

    vault = PostgresVault(app_database(), key_wrapper(VaultSettings.from_environment()))
    return ArchiveTexts(app_database(), vault)


def _secret(name: str) -> str:
    """Of those that this deployment's jobs may read: their names begin alike (template.yaml)."""
    return str(client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
