"""Messages that a search has found, and the passages of messages.

Implements archive.search.message_search.CandidateArchive and vectors.ports.PassageStore.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from email_sender.adapters.postgres.contacts import CONTENT
from email_sender.adapters.postgres.database import Database, Row
from email_sender.archive.search.candidates import ArchivedCandidate
from email_sender.security.ports import TenantKeys, Vault

_READ = """
select id, sent_at, kind, content_enc, cardinality(reference_hashes) > 0 as refers_to_others,
       case when passages_model = %s then passages end as passages
from messages where id = any(%s)
"""
_SAVE = """
update messages m set passages = p.packed, passages_model = %s
from unnest(%s::uuid[], %s::bytea[]) as p (id, packed) where m.id = p.id
"""


class PostgresCandidates:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database, self._vault = database, vault

    def read(self, tenant_id: UUID, ids: Sequence[UUID], model: str) -> Mapping[UUID, ArchivedCandidate]:
        if not ids:
            return {}
        # Read the keys before the transaction begins: the vault uses the same pool, which has one connection.
        keys = self._vault.keys_for(tenant_id)
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute(_READ, [model, list(ids)]).fetchall()
        return {row["id"]: _candidate(row, keys) for row in rows}


class PostgresPassages:
    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, tenant_id: UUID, model: str, passages: Mapping[UUID, bytes]) -> None:
        # Sorted, so that two writers lock the same messages in the same order.
        ids = sorted(passages)
        with self._database.tenant(tenant_id) as conn:
            conn.execute(_SAVE, [model, ids, [passages[message_id] for message_id in ids]])
            conn.commit()


def _candidate(row: Row, keys: TenantKeys) -> ArchivedCandidate:
    content: dict[str, Any] = json.loads(keys.decrypt(row["content_enc"], CONTENT))
    name, email = content.get("from") or (None, None)
    return ArchivedCandidate(
        row["id"],
        content["subject"],
        content["text"],
        name,
        email,
        row["sent_at"],
        row["kind"],
        row["refers_to_others"],
        row["passages"],
    )
