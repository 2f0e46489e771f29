"""Erase a person from the database. Implements messaging.ports.ErasureStore.

Restores use the same statements, as the owner of the tables: every statement names the tenant.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.contacts import ADDRESS, NAME, REMEMBER_DELETED
from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.run_erasure import Person, RunErasure
from email_sender.messaging.model import Erasure, RecordedErasure
from email_sender.security.ports import TenantKeys

type Unwrap = Callable[[UUID, bytes], bytes]

_COUNTED = ("messages", "drafts", "emails")
_DELETED = "select address_hash from deleted_contacts where tenant_id = %s and contact_id = %s"
_FORGET_SUPPRESSION = "delete from suppressions where tenant_id = %s and address_hash = %s"
_SUPPRESS = (
    "insert into suppressions (tenant_id, address_hash, reason) values (%s, %s, 'erased') on conflict do nothing"
)
_ADD = """
insert into erasures as e (tenant_id, contact_id, address_hash, erased_by, erased_at, counts)
values (%s, %s, %s, %s, %s, %s)
on conflict (tenant_id, contact_id) do update set
    erased_by = excluded.erased_by, erased_at = excluded.erased_at, counts = excluded.counts, recorded_at = null
"""
# Imports hold the lock while they store people who were not erased when they looked.
_LOCK = "select pg_advisory_xact_lock(hashtextextended('erasures/' || %s, 0))"
LOCK_SHARED = "select pg_advisory_xact_lock_shared(hashtextextended('erasures/' || %s, 0))"
# By its id, or by the address that a deleted contact had: an import may have added the person anew.
_FIND = """
select id, address_hash, address_enc, name_enc from contacts
where tenant_id = %(tenant)s and (id = %(contact)s or address_hash = %(hash)s) for update
"""
_GET = """
select e.contact_id, e.erased_by, e.erased_at, e.counts, d.cleaned_at, e.recorded_at
from erasures e left join deleted_contacts d on (d.tenant_id, d.contact_id) = (e.tenant_id, e.contact_id)
where e.contact_id = %s
"""


class PostgresErasures:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def get(self, contact_id: UUID) -> Erasure | None:
        row = self._conn.execute(_GET, [contact_id]).fetchone()
        return Erasure(**row) if row else None

    def erase(self, contact_id: UUID, erased_by: str, at: datetime) -> Erasure | None:
        return erase_contact(self._conn, self._tenant_id, self._keys, contact_id, erased_by, at)


def erase_contact(
    conn: Connection[Row],
    tenant_id: UUID,
    keys: TenantKeys,
    contact_id: UUID,
    erased_by: str,
    at: datetime,
    known_hash: bytes | None = None,
) -> Erasure | None:
    """Erase a contact that exists or was deleted before. Returns None if the tenant never had it.

    `known_hash` is the hash of the address of somebody who is to be erased in any case, by a restore.

    Raises:
        Conflict: a run that has not ended works with the person. A restore does not look: none of its runs goes on.
    """
    conn.execute(_LOCK, [str(tenant_id)])
    deleted = conn.execute(_DELETED, [tenant_id, contact_id]).fetchone()
    address_hash = deleted["address_hash"] if deleted else known_hash
    contacts = conn.execute(_FIND, {"tenant": tenant_id, "contact": contact_id, "hash": address_hash}).fetchall()
    if not contacts and address_hash is None:
        return None
    counts = dict.fromkeys(("contacts", *_COUNTED, "run_steps", "runs", "stored_items"), 0)
    people = [_person(keys, contact) for contact in contacts]
    if contact_id not in {person.contact_id for person in people} and address_hash is not None:
        people.append(Person(contact_id, bytes(address_hash)))
    runs = [RunErasure(conn, tenant_id, keys, person) for person in people]
    for run_erasure in runs if known_hash is None else ():
        run_erasure.check_that_no_run_is_open()
    for kind, count in chain.from_iterable(run_erasure.erase().items() for run_erasure in runs):
        counts[kind] += count
    for contact in contacts:
        address_hash = contact["address_hash"]
        for kind, count in _erase_row(conn, tenant_id, contact).items():
            counts[kind] += count
    # The address of an earlier suppression is erased with it.
    conn.execute(_FORGET_SUPPRESSION, [tenant_id, address_hash])
    conn.execute(_SUPPRESS, [tenant_id, address_hash])
    conn.execute(_ADD, [tenant_id, contact_id, address_hash, erased_by, at, Jsonb(counts)])
    return Erasure(contact_id, erased_by, at, counts)


def _person(keys: TenantKeys, contact: Row) -> Person:
    name = keys.decrypt(contact["name_enc"], NAME) if contact["name_enc"] else ""
    address = keys.decrypt(contact["address_enc"], ADDRESS)
    return Person(contact["id"], bytes(contact["address_hash"]), address, name)


def _erase_row(conn: Connection[Row], tenant_id: UUID, contact: Row) -> Mapping[str, int]:
    """Delete one contact with all that refers to it. Returns the number of rows by kind."""
    counts: dict[str, int] = {}
    for table in _COUNTED:
        row = conn.execute(
            f"select count(*) as count from {table} where tenant_id = %s and contact_id = %s",  # noqa: S608  # constants
            [tenant_id, contact["id"]],
        ).fetchone()
        counts[table] = row["count"] if row else 0
    conn.execute(REMEMBER_DELETED, [contact["id"]])
    conn.execute("delete from contacts where tenant_id = %s and id = %s", [tenant_id, contact["id"]])
    conn.execute(
        "delete from temporary_bounces where tenant_id = %s and address_hash = %s",
        [tenant_id, contact["address_hash"]],
    )
    return {"contacts": 1, **counts}


def erase_again(conn: Connection[Any], erasures: Iterable[RecordedErasure], unwrap: Unwrap) -> int:
    """Erase people in a restored database, as the owner of its tables. Returns how many the backup still had.

    Their points and files are deleted by the sweep of deleted contacts.
    """
    # Imported late, because imports use this module too, in functions without the layer with cryptography.
    from email_sender.adapters.postgres.vault import READ_KEYS, keys_of

    row_factory, conn.row_factory = conn.row_factory, dict_row
    conn.execute("set local search_path to email_sender")
    count = 0
    try:
        for erasure in erasures:
            tenant_id, contact_id = erasure.tenant_id, erasure.contact_id
            wrapped = conn.execute(READ_KEYS, [tenant_id]).fetchall()
            if not wrapped:
                continue
            keys = keys_of(tenant_id, wrapped, unwrap)
            erased = erase_contact(
                conn, tenant_id, keys, contact_id, erasure.erased_by, erasure.erased_at, erasure.address_hash
            )
            count += erased is not None and erased.counts["contacts"] > 0
    finally:
        conn.row_factory = row_factory
    return count


class PostgresErasureLog:
    """Erasures that are not recorded beside the backups yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unrecorded(self, tenant_id: UUID) -> list[RecordedErasure]:
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute(
                "select tenant_id, contact_id, address_hash, erased_by, erased_at from erasures "
                "where recorded_at is null"
            ).fetchall()
        return [RecordedErasure(**{**row, "address_hash": bytes(row["address_hash"])}) for row in rows]

    def mark_recorded(self, erasure: RecordedErasure, at: datetime) -> None:
        with self._database.tenant(erasure.tenant_id) as conn:
            conn.execute("update erasures set recorded_at = %s where contact_id = %s", [at, erasure.contact_id])
            conn.commit()
