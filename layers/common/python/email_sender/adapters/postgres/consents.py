"""Consents in PostgreSQL. Implements messaging.ports.ConsentStore. The proof is encrypted."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Row
from email_sender.messaging.model import Consent
from email_sender.security.ports import TenantKeys

_PROOF = "consents.proof"
_ADD = """
insert into consents (id, tenant_id, contact_id, purpose, source, proof_enc, given_at)
values (%s, %s, %s, %s, %s, %s, %s) on conflict (id) do nothing
"""


class PostgresConsents:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def add(self, consent: Consent) -> None:
        proof = self._keys.encrypt(consent.proof, _PROOF) if consent.proof else None
        self._conn.execute(
            _ADD,
            [
                consent.id, self._tenant_id, consent.contact_id, consent.purpose, consent.source, proof,
                consent.given_at,
            ],
        )  # fmt: skip

    def of_contact(self, contact_id: UUID) -> Sequence[Consent]:
        rows = self._conn.execute(
            "select * from consents where contact_id = %s order by given_at desc, id desc", [contact_id]
        ).fetchall()
        return [
            Consent(
                id=row["id"],
                contact_id=row["contact_id"],
                purpose=row["purpose"],
                source=row["source"],
                proof=self._keys.decrypt(bytes(row["proof_enc"]), _PROOF) if row["proof_enc"] else "",
                given_at=row["given_at"],
                withdrawn_at=row["withdrawn_at"],
            )
            for row in rows
        ]

    def set_withdrawn(self, consent_id: UUID, at: datetime) -> None:
        self._conn.execute("update consents set withdrawn_at = %s where id = %s", [at, consent_id])
