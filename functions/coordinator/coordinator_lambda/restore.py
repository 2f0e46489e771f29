"""Restores the database of a backup into this platform, which has no tenants yet (statemachines/restore.asl.json)."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Self
from uuid import UUID

import psycopg
from pydantic import BaseModel, Field

from email_sender.adapters.aws.backup_store import S3Backups
from email_sender.adapters.aws.records import S3Erasures, S3Records
from email_sender.adapters.files.stored_backup import StoredBackup
from email_sender.adapters.postgres.database_setup import add_platform_tenant
from email_sender.adapters.postgres.erasures import erase_again
from email_sender.adapters.postgres.restored_database import add_record, is_restored_by, load
from email_sender.backups.model import Manifest, NotRestorable
from email_sender.backups.steps import LANES
from email_sender.errors import Forbidden
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import VaultSettings
from email_sender.kit.resources import key_wrapper
from email_sender.kit.telemetry import logger
from email_sender.vectors.jobs.transfer import PART_COUNT


class RestoreStep(BaseModel):
    """`execution` is the id of the state machine's execution: a repeated step finds what it did before."""

    backup: Annotated[str, Field(pattern=r"^s3://[^/]+/.+[^/]$")]
    execution: str


class RestoreSettings(VaultSettings):
    restore_key_arn: str = ""
    """KMS key that wrapped the keys of the backup, if that is not this platform's."""
    restore_keys_table_arn: str = ""
    """Table with the wrapping keys of the backup's tenants, if that is not this platform's."""

    def of_backup(self) -> Self:
        """Return the settings of what wrapped the keys of the backup."""
        changes = {}
        if self.restore_key_arn:
            changes["key_wrapper"] = f"kms:{self.restore_key_arn}"
        if self.restore_keys_table_arn:
            changes["tenant_keys_table"] = self.restore_keys_table_arn
        return self.model_copy(update=changes)


def restore_database(step: RestoreStep, connect: Callable[[], "psycopg.Connection[Any]"]) -> dict[str, Any]:
    """Load every table and compare it with the manifest: all of it or nothing.

    Returns the lanes in which the points are to be restored, and the collections.

    Raises:
        NotRestorable: there are tenants already, an object is damaged, or a key does not fit.
        Unavailable: the bucket, the key or the database did not respond.
    """
    bucket, _, folder = step.backup.removeprefix("s3://").partition("/")
    backup = StoredBackup(partial(S3Backups(lambda: client("s3"), bucket).open, folder), step.backup)
    manifest = backup.manifest()
    with connect() as conn:
        if not is_restored_by(conn, step.execution):
            for table in manifest.database.tables.values():
                backup.verify_bytes(table.stored_object)
            settings = RestoreSettings.from_environment()
            erasures = S3Erasures(S3Records(lambda: client("s3"), bucket)).read_all()
            erase = partial(erase_again, erasures=erasures, unwrap=key_wrapper(settings).unwrap)
            load(conn, backup, manifest.database, _Keys(settings), logger.info, erase if erasures else None)
            add_platform_tenant(conn)
            add_record(conn, manifest, step.backup, step.execution)
    return {"lanes": _lanes(manifest), "collections": list(manifest.collections)}


def _lanes(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {"collection": name, "parts": list(range(first, PART_COUNT, LANES)), "compared": [], "position": ""}
        for name in manifest.collections
        for first in range(LANES)
    ]


class _Keys:
    """The keys of the backup, and those of this platform. Implements restored_database.KeyTransfer."""

    def __init__(self, settings: RestoreSettings) -> None:
        self._own, self._former = key_wrapper(settings), key_wrapper(settings.of_backup())
        self._is_same = settings.of_backup() == settings

    def rewrap(self, tenant_id: UUID, wrapped: bytes) -> bytes:
        try:
            data_key = self._former.unwrap(tenant_id, wrapped)
        except (Forbidden, ValueError) as error:
            raise NotRestorable(
                f"The data keys of tenant {tenant_id} are wrapped by other keys than this platform's. Deploy with the "
                "ARNs of the former KMS key as RestoreKeyArn and of the former table TenantKeys as "
                "RestoreKeysTableArn, and restore again."
            ) from error
        return wrapped if self._is_same else self._own.wrap(tenant_id, data_key)

    def is_destroyed(self, tenant_id: UUID) -> bool:
        return self._former.is_destroyed(tenant_id)
