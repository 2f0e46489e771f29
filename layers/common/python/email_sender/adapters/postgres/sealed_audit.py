"""The audit log and its seals in PostgreSQL. Implements coordination.audit_seals.SealedLog."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.coordination.audit_seals import Seal

_NEWEST = "select sequence, hash from audit_log where tenant_id = %s order by sequence desc limit 1"
# The chain's function compares neighbours: what is missing at the beginning has no neighbour.
_BROKEN_AT = """
select coalesce(
    (select 1 from audit_log where tenant_id = %(tenant)s having min(sequence) <> 1),
    audit_broken_at(%(tenant)s, 9223372036854775807)
) as broken
"""


class PostgresSealedLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def newest_entry(self, tenant_id: UUID) -> tuple[int, bytes] | None:
        with self._database.tenant(tenant_id) as conn:
            row = conn.execute(_NEWEST, [tenant_id]).fetchone()
        return (row["sequence"], bytes(row["hash"])) if row else None

    def hashes(self, tenant_id: UUID, sequences: Sequence[int]) -> Mapping[int, bytes]:
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute(
                "select sequence, hash from audit_log where tenant_id = %s and sequence = any(%s)",
                [tenant_id, list(sequences)],
            ).fetchall()
        return {row["sequence"]: bytes(row["hash"]) for row in rows}

    def broken_at(self, tenant_id: UUID) -> int | None:
        with self._database.tenant(tenant_id) as conn:
            row = conn.execute(_BROKEN_AT, {"tenant": tenant_id}).fetchone()
        return row["broken"] if row else None

    def seals(self, tenant_id: UUID) -> Sequence[Seal]:
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute(
                "select sequence, hash, mac, sealed_at from audit_seals where tenant_id = %s order by sequence",
                [tenant_id],
            ).fetchall()
        return [Seal(row["sequence"], bytes(row["hash"]), bytes(row["mac"]), row["sealed_at"]) for row in rows]

    def add_seal(self, tenant_id: UUID, seal: Seal) -> None:
        with self._database.tenant(tenant_id) as conn:
            conn.execute(
                "insert into audit_seals (tenant_id, sequence, hash, mac, sealed_at) values (%s, %s, %s, %s, %s) "
                "on conflict do nothing",
                [tenant_id, seal.sequence, seal.hash, seal.mac, seal.sealed_at],
            )
            conn.commit()
