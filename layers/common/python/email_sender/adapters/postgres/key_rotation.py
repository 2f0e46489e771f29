"""Adds data keys of tenants, and encrypts their values anew. Implements security.key_rotation.KeyStore."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection, sql

from email_sender.adapters.postgres.contacts import PostgresContacts
from email_sender.adapters.postgres.data_keys import PostgresKeyVersions
from email_sender.adapters.postgres.database import Row
from email_sender.adapters.postgres.encrypted_json import ATTRIBUTES, INPUTS, RESULT, RUN_ERROR, STEP_ERROR, NoKeys
from email_sender.adapters.postgres.run_content import RunContents
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.postgres.vault import AesKeys, PostgresVault
from email_sender.coordination.events import EventFactory
from email_sender.errors import NotFound, Unavailable
from email_sender.security.key_rotation import DataKey
from email_sender.security.ports import PerTenantKeyWrapper

_BATCH = 500


@dataclass(frozen=True, slots=True)
class EncryptedColumn:
    """`key` are the columns of the primary key. `context` is what the column's values are encrypted for."""

    table: str
    column: str
    context: str
    key: tuple[str, ...] = ("id",)


# Every column with ciphertexts; a test compares them with the catalogue of the database.
COLUMNS = (
    EncryptedColumn("contacts", "address_enc", "contacts.address"),
    EncryptedColumn("contacts", "name_enc", "contacts.name"),
    EncryptedColumn("contacts", "attributes_enc", ATTRIBUTES),
    EncryptedColumn("runs", "inputs_enc", INPUTS),
    EncryptedColumn("runs", "error_enc", RUN_ERROR),
    EncryptedColumn("run_steps", "result_enc", RESULT, ("run_id", "step", "item")),
    EncryptedColumn("run_steps", "error_enc", STEP_ERROR, ("run_id", "step", "item")),
    EncryptedColumn("messages", "content_enc", "messages.content"),
    EncryptedColumn("drafts", "content_enc", "drafts.content"),
    EncryptedColumn("suppressions", "address_enc", "suppressions.address", ("tenant_id", "address_hash")),
    EncryptedColumn("triggers", "secret_enc", "triggers.secret"),
    EncryptedColumn("triggers", "previous_enc", "triggers.secret"),
    EncryptedColumn("notification_channels", "target_enc", "notification_channels.target"),
    EncryptedColumn("notification_channels", "secret_enc", "notification_channels.secret"),
    EncryptedColumn("notifications", "content_enc", "notifications.content"),
    EncryptedColumn("webhooks", "url_enc", "webhooks.url"),
    EncryptedColumn("webhooks", "secret_enc", "webhooks.secret"),
    EncryptedColumn("webhooks", "previous_secret_enc", "webhooks.previous_secret"),
    EncryptedColumn("webhook_deliveries", "body_enc", "webhook_deliveries.body"),
    EncryptedColumn("consents", "proof_enc", "consents.proof"),
    EncryptedColumn(
        "step_responses", "response_enc", "step_responses.response", ("tenant_id", "run_id", "step", "number")
    ),
    EncryptedColumn("conversations", "turns_enc", "conversations.turns", ("tenant_id", "run_id", "step", "number")),
    EncryptedColumn("stored_items", "items_enc", "stored_items.items", ("tenant_id", "id", "number")),
    EncryptedColumn("idempotency", "response", "idempotency.response", ("tenant_id", "subject", "route", "key")),
)
_ADD = """
insert into data_keys (tenant_id, purpose, version, wrapped, active_at)
select %(tenant)s, 'content', %(version)s, %(wrapped)s, now() + %(after)s
where not exists (select from data_keys where purpose = 'content' and version > %(version)s)
on conflict do nothing
"""
_FINISH = """
update data_keys set finished_at = %s where purpose = 'content' and version = %s and finished_at is null
returning version
"""
_REWRAP = "update data_keys set wrapped = %s where purpose = %s and version = %s and wrapped = %s"
_REMOVE = """
delete from data_keys where purpose = 'content' and version < (
    select max(version) from data_keys where purpose = 'content' and finished_at is not null)
returning version
"""
# Ciphertexts of an older key. Some functions store answers to an Idempotency-Key without encryption: those are JSON,
# and no JSON begins like a ciphertext.
_IS_OLD = "substring({column} for 1) = substring(%(header)s::bytea for 1) and substring({column} for 5) < %(header)s"


class PostgresKeyRotation(PostgresKeyVersions):
    def __init__(self, units: Units, vault: PostgresVault, wrapper: PerTenantKeyWrapper, events: EventFactory) -> None:
        super().__init__(units)
        self._vault, self._wrapper, self._events = vault, wrapper, events

    def add(self, tenant_id: UUID, version: int, active_after: timedelta) -> DataKey:
        # A tenant that has encrypted nothing yet gets its first keys here.
        self._vault.keys_for(tenant_id)
        wrapped = self._wrapper.wrap(tenant_id, os.urandom(32))
        with self._units(tenant_id) as unit:
            unit.conn.execute(
                _ADD, {"tenant": tenant_id, "version": version, "wrapped": wrapped, "after": active_after}
            )
            unit.commit()
        added = next((key for key in self.versions(tenant_id) if key.version == version), None)
        if added is None:
            raise NotFound(f"The key {version} was removed, because a newer one is in use.")
        return added

    def encrypt_anew(self, tenant_id: UUID, version: int, has_time_left: Callable[[], bool]) -> bool:
        keys = self._vault.load(tenant_id)
        if keys.active < version:
            raise Unavailable(f"The key {version} is not active yet.")
        return all(self._encrypt_column(tenant_id, keys, column, has_time_left) for column in COLUMNS)

    def encrypt_plain(self, tenant_id: UUID, has_time_left: Callable[[], bool]) -> bool:
        with self._units(tenant_id) as unit:
            # Whoever has nothing to encrypt gets no keys.
            runs = RunContents(unit.conn, tenant_id, NoKeys())
            if not runs.has_plain() and not PostgresContacts(unit.conn, tenant_id, NoKeys()).has_older():
                return True
        keys = self._vault.keys_for(tenant_id)
        while has_time_left():
            with self._units(tenant_id) as unit:
                count = RunContents(unit.conn, tenant_id, keys).encrypt_plain(_BATCH)
                count += PostgresContacts(unit.conn, tenant_id, keys).complete_older(_BATCH)
                unit.commit()
            if count == 0:
                return True
        return False

    def finish(self, tenant_id: UUID, version: int, at: datetime) -> None:
        with self._units(tenant_id) as unit:
            if unit.conn.execute(_FINISH, [at, version]).fetchone() is not None:
                unit.emit(self._events.build("key.rotated", tenant_id, tenant_id, {"version": version}))
                unit.commit()

    def rewrap(self, tenant_id: UUID) -> int:
        # Read and unwrapped before the transaction, which has the only connection of the pool.
        with self._units(tenant_id) as unit:
            rows = unit.conn.execute("select purpose, version, wrapped from data_keys").fetchall()
        old = [row for row in rows if not self._wrapper.is_current(bytes(row["wrapped"]))]
        keys = [self._wrapper.unwrap(tenant_id, bytes(row["wrapped"])) for row in old]
        wrapped = [self._wrapper.wrap(tenant_id, key) for key in keys]
        with self._units(tenant_id) as unit:
            for row, new in zip(old, wrapped, strict=True):
                unit.conn.execute(_REWRAP, [new, row["purpose"], row["version"], row["wrapped"]])
            unit.commit()
        return len(old)

    def remove_unused(self, tenant_id: UUID) -> Sequence[int]:
        header = self._vault.load(tenant_id).header
        with self._units(tenant_id) as unit:
            if any(next(_old_rows(unit.conn, column, header, ()), None) for column in COLUMNS):
                return []
            removed = [row["version"] for row in unit.conn.execute(_REMOVE).fetchall()]
            unit.commit()
        return sorted(removed)

    def _encrypt_column(
        self, tenant_id: UUID, keys: AesKeys, column: EncryptedColumn, has_time_left: Callable[[], bool]
    ) -> bool:
        """Encrypt a column in batches, each in a transaction of its own, in the order of the primary key."""
        after: tuple[Any, ...] = ()
        while has_time_left():
            with self._units(tenant_id) as unit:
                rows = list(_old_rows(unit.conn, column, keys.header, after))
                texts = [keys.decrypt(bytes(row["value"]), column.context) for row in rows]
                changes = [
                    [keys.encrypt(text, column.context), *_key(column, row)]
                    for text, row in zip(texts, rows, strict=True)
                ]
                with unit.conn.cursor() as cursor:
                    cursor.executemany(_update(column), changes)
                unit.commit()
            if len(rows) < _BATCH:
                return True
            after = _key(column, rows[-1])
        return False


def _old_rows(conn: Connection[Row], column: EncryptedColumn, header: bytes, after: tuple[Any, ...]) -> Iterator[Row]:
    """Yield the next values that an older key encrypted, and lock them: nobody changes them in the meantime."""
    key = sql.SQL(", ").join(map(sql.Identifier, column.key))
    value = sql.Identifier(column.column)
    condition = sql.SQL(_IS_OLD).format(column=value)
    if after:
        places = sql.SQL(", ").join(sql.Placeholder(f"key{number}") for number in range(len(after)))
        condition = sql.SQL("({}) > ({}) and {}").format(key, places, condition)
    query = sql.SQL("select {}, {} as value from {} where {} order by {} limit {} for update").format(
        key, value, sql.Identifier(column.table), condition, key, _BATCH
    )
    parameters = {"header": header, **{f"key{number}": part for number, part in enumerate(after)}}
    yield from conn.execute(query, parameters)


def _update(column: EncryptedColumn) -> sql.Composed:
    condition = sql.SQL(" and ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in column.key)
    return sql.SQL("update {} set {} = %s where {}").format(
        sql.Identifier(column.table), sql.Identifier(column.column), condition
    )


def _key(column: EncryptedColumn, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in column.key)
