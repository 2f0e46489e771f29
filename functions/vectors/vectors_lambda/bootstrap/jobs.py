"""Composition root of jobs, backups and restores: their platform role, exports, and connections to other engines."""

from functools import cache, partial

from email_sender.adapters.aws.backup_points import S3BackupPoints
from email_sender.adapters.aws.backup_store import S3Backups
from email_sender.adapters.files.backup_points import BackupPointSource
from email_sender.adapters.files.exports import S3Exports
from email_sender.adapters.files.stored_backup import StoredBackup
from email_sender.adapters.postgres.archive_texts import ArchiveOrphans, ArchiveTexts
from email_sender.adapters.postgres.backups import PostgresBackups
from email_sender.adapters.postgres.vector_jobs import PostgresRegistry
from email_sender.adapters.qdrant.collection_engine import QdrantCollections
from email_sender.backups.points import PointsBackup
from email_sender.backups.restored_points import PointsRestore
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import BackupSettings, VaultSettings
from email_sender.kit.resources import key_wrapper, platform_database
from email_sender.kit.system_clock import new_id, now
from email_sender.vectors.jobs.repair import Repair
from email_sender.vectors.jobs.steps import JobSteps
from email_sender.vectors.prepare_collections import Preparation
from vectors_lambda.bootstrap.core import (
    app_database,
    configured_collections,
    engine_channel,
    engine_index,
    job_units,
    models,
    placement,
    point_writer,
    served_collections,
)
from vectors_lambda.bootstrap.settings import import_settings
from vectors_lambda.job_sources import JobSources


@cache
def registry() -> PostgresRegistry:
    return PostgresRegistry(platform_database())


@cache
def qdrant_collections() -> QdrantCollections:
    return QdrantCollections(engine_channel, configured_collections(), placement())


@cache
def preparation() -> Preparation:
    model_names = {collection: frozenset(embedders) for collection, embedders in models().items()}
    return Preparation(engine_index(), qdrant_collections(), registry(), configured_collections(), model_names)


@cache
def job_steps() -> JobSteps:
    served_collections()
    exports = S3Exports(lambda: client("s3"), import_settings().uploads_bucket)
    sources = JobSources(qdrant_collections(), exports, models(), _archive_texts, _read_secret)
    repair = Repair(ArchiveOrphans(app_database()), point_writer())
    return JobSteps(job_units(), registry(), qdrant_collections(), sources, exports, repair, now, new_id)


@cache
def points_backup() -> PointsBackup:
    store = S3Backups(lambda: client("s3"), BackupSettings.from_environment().backups_bucket)
    return PointsBackup(PostgresBackups(platform_database()), S3BackupPoints(store), qdrant_collections())


@cache
def points_restore(location: str) -> PointsRestore:
    """Return the restore of the backup at `location`: s3://<bucket>/<backup>."""
    bucket, _, folder = location.removeprefix("s3://").partition("/")
    backup = StoredBackup(partial(S3Backups(lambda: client("s3"), bucket).open, folder), location)
    manifest = backup.manifest()
    model_names = {collection: frozenset(embedders) for collection, embedders in models().items()}

    def source(collection: str) -> BackupPointSource:
        return BackupPointSource(backup, manifest.collections[collection].objects)

    return PointsRestore(manifest, source, qdrant_collections(), model_names)


@cache
def _archive_texts() -> ArchiveTexts:
    from email_sender.adapters.postgres.vault import PostgresVault

    vault = PostgresVault(app_database(), key_wrapper(VaultSettings.from_environment()))
    return ArchiveTexts(app_database(), vault)


def _read_secret(name: str) -> str:
    """Read a secret. The role may read only secrets whose names have the prefix for jobs (template.yaml)."""
    return str(client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
