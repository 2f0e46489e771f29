"""The texts of archived messages, for points that are embedded anew. Implements vectors.transfer.Texts."""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from email_sender.adapters.postgres.contacts import CONTENT
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.qdrant.ids import CLIENT_ID, client_id_of
from email_sender.security.ports import Vault
from email_sender.vectors.messages import embedded_text
from email_sender.vectors.transfer import Stored


class ArchiveTexts:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database, self._vault = database, vault

    def of(self, points: Sequence[Stored]) -> Mapping[str, str]:
        wanted: dict[UUID, dict[UUID, str]] = {}
        for each in points:
            client_id = client_id_of(each.payload[CLIENT_ID])
            if isinstance(client_id, UUID):
                wanted.setdefault(each.tenant_id, {})[client_id] = each.id
        found: dict[str, str] = {}
        for tenant_id, ids in wanted.items():
            found |= self._of_tenant(tenant_id, ids)
        return found

    def _of_tenant(self, tenant_id: UUID, ids: Mapping[UUID, str]) -> dict[str, str]:
        # Before the transaction: the vault reads the same pool of one connection.
        keys = self._vault.of(tenant_id)
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute("select id, content_enc from messages where id = any(%s)", [list(ids)]).fetchall()
        texts = {}
        for row in rows:
            content = json.loads(keys.decrypt(row["content_enc"], CONTENT))
            texts[ids[row["id"]]] = embedded_text(content["subject"], content["text"])
        return texts
