"""Composition root of retention."""

from collections.abc import Sequence
from functools import cache
from uuid import UUID

from email_sender.adapters.postgres.retention import PostgresRetention
from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.archive.message_index import COLLECTION
from email_sender.kit.resources import platform_database
from email_sender.kit.system_clock import now
from email_sender.security.retention import RetentionEnforcer
from vectors_lambda.bootstrap.core import app_database, point_writer, served_collections


@cache
def _directory() -> TenantDirectory:
    return TenantDirectory(platform_database())


def tenants() -> Sequence[UUID]:
    return _directory().tenants()


def retention_enforcer() -> RetentionEnforcer:
    served_collections()
    return _retention_enforcer()


@cache
def _retention_enforcer() -> RetentionEnforcer:
    store = PostgresRetention(Units(app_database(), None))

    def delete_points(tenant_id: UUID, ids: list[UUID]) -> None:
        point_writer().delete(tenant_id, COLLECTION, ids)

    return RetentionEnforcer(store, store, delete_points, now)
