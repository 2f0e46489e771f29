"""What the archive says about points: the texts to embed again, and which points have no message any more.

Implements vectors.jobs.transfer.PointTexts and vectors.jobs.repair.OrphanFinder.
"""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from email_sender.adapters.postgres.contacts import CONTENT
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.qdrant.ids import CLIENT_ID, decode_client_id
from email_sender.archive.message_index import IMPORT_KEY
from email_sender.archive.search.passages import embedded_text
from email_sender.security.ports import Vault
from email_sender.vectors.jobs.transfer import StoredPoint


class ArchiveTexts:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database, self._vault = database, vault

    def texts_of(self, points: Sequence[StoredPoint]) -> Mapping[str, str]:
        ids_by_tenant: dict[UUID, dict[UUID, str]] = {}
        for point in points:
            client_id = decode_client_id(point.payload[CLIENT_ID])
            if isinstance(client_id, UUID):
                ids_by_tenant.setdefault(point.tenant_id, {})[client_id] = point.id
        texts: dict[str, str] = {}
        for tenant_id, ids in ids_by_tenant.items():
            texts |= self._of_tenant(tenant_id, ids)
        return texts

    def _of_tenant(self, tenant_id: UUID, ids: Mapping[UUID, str]) -> dict[str, str]:
        # Read the keys before the transaction begins: the vault uses the same pool, which has one connection.
        keys = self._vault.keys_for(tenant_id)
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute("select id, content_enc from messages where id = any(%s)", [list(ids)]).fetchall()
        texts = {}
        for row in rows:
            content = json.loads(keys.decrypt(row["content_enc"], CONTENT))
            texts[ids[row["id"]]] = embedded_text(content["subject"], content["text"])
        return texts


class ArchiveOrphans:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, points: Sequence[StoredPoint]) -> Mapping[UUID, Sequence[UUID]]:
        ids_by_tenant: dict[UUID, set[UUID]] = {}
        for point in points:
            client_id = decode_client_id(point.payload[CLIENT_ID])
            if isinstance(client_id, UUID) and IMPORT_KEY in point.payload:
                ids_by_tenant.setdefault(point.tenant_id, set()).add(client_id)
        orphans: dict[UUID, Sequence[UUID]] = {}
        for tenant_id, ids in ids_by_tenant.items():
            with self._database.tenant(tenant_id) as conn:
                rows = conn.execute("select id from messages where id = any(%s)", [list(ids)]).fetchall()
            if missing := sorted(ids - {row["id"] for row in rows}):
                orphans[tenant_id] = missing
        return orphans
