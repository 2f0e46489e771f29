"""The versions of tenants' data keys, without the keys. Implements security.key_rotation.RotationRequests."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.security.key_rotation import DataKey


class PostgresKeyVersions:
    def __init__(self, units: Units) -> None:
        self._units = units

    def versions(self, tenant_id: UUID) -> Sequence[DataKey]:
        with self._units(tenant_id) as unit:
            rows = unit.conn.execute(
                "select version, created_at, active_at, finished_at from data_keys "
                "where purpose = 'content' order by version"
            ).fetchall()
        return [DataKey(**row) for row in rows]

    def audit_request(self, tenant_id: UUID, version: int, at: datetime) -> None:
        with self._units(tenant_id) as unit:
            unit.audit(at, "key.rotation_requested", str(version))
            unit.commit()
