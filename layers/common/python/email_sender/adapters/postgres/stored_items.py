"""Items of steps, in parts, in PostgreSQL. Implements workflows.ports.StoredItems."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Row
from email_sender.errors import InvalidInput
from email_sender.security.ports import TenantKeys
from email_sender.workflows.stored_items import parts_of, terms_in

CONTEXT = "stored_items.items"
_MAX_RUN_BYTES = 200 * 1024 * 1024
_SIZE = """
select coalesce(sum(octet_length(items_enc) + 32 * cardinality(term_hashes)), 0)::bigint as bytes
from stored_items where run_id = %s
"""
_ADD = """
insert into stored_items (tenant_id, id, number, run_id, step, first, count, term_hashes, items_enc)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


class PostgresStoredItems:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def add(self, items_id: UUID, run_id: UUID, step: str, items: Sequence[Any]) -> None:
        stored = self._conn.execute(_SIZE, [run_id]).fetchone()
        size = stored["bytes"] if stored else 0
        for number, part in enumerate(parts_of(items)):
            encrypted = self._keys.encrypt(part.text, CONTEXT)
            hashes = [self._keys.fingerprint(term) for term in terms_in(part.text)]
            size += len(encrypted) + sum(map(len, hashes))
            if size > _MAX_RUN_BYTES:
                raise InvalidInput(f"The items of the run's steps have more than {_MAX_RUN_BYTES // 1024**2} MB.")
            place = [items_id, number, run_id, step, part.first, part.count]
            self._conn.execute(_ADD, [self._tenant_id, *place, hashes, encrypted])

    def read(self, ids: Collection[UUID], runs: Collection[UUID]) -> Mapping[UUID, Sequence[Any]]:
        lists: dict[UUID, list[Any]] = {}
        rows = self._conn.execute(
            "select id, items_enc from stored_items where id = any(%s) and run_id = any(%s) order by id, number",
            [list(ids), list(runs)],
        ).fetchall()
        for row in rows:
            lists.setdefault(row["id"], []).extend(self._decrypted(row))
        return lists

    def page(self, items_id: UUID, runs: Collection[UUID], first: int, limit: int) -> Sequence[Any]:
        rows = self._conn.execute(
            "select first, items_enc from stored_items where id = %s and run_id = any(%s) "
            "and first < %s and first + count > %s order by number",
            [items_id, list(runs), first + limit, first],
        ).fetchall()
        items = [item for row in rows for item in self._decrypted(row)]
        skipped = first - rows[0]["first"] if rows else 0
        return items[skipped : skipped + limit]

    def _decrypted(self, row: Row) -> Iterator[Any]:
        yield from json.loads(self._keys.decrypt(bytes(row["items_enc"]), CONTEXT))
