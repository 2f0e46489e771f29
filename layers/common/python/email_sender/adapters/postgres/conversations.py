"""The conversations of agents in PostgreSQL. Implements workflows.ports.Conversations."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Row
from email_sender.security.ports import TenantKeys

_CONTEXT = "conversations.turns"
_LAST = """
select turns_enc from conversations
where workflow_id = (select workflow_id from runs where id = %s) and session_hash = %s
order by said_at desc, number desc limit %s
"""
_ADD = """
insert into conversations (tenant_id, workflow_id, session_hash, run_id, step, number, said_at, turns_enc)
select %s, workflow_id, %s, id, %s, %s, %s, %s from runs where id = %s
on conflict do nothing
"""


class PostgresConversations:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def last(self, run_id: UUID, session: str, limit: int) -> Sequence[Mapping[str, str]]:
        # An entry has two turns.
        rows = self._conn.execute(_LAST, [run_id, self._keys.fingerprint(session), -(-limit // 2)]).fetchall()
        entries = [json.loads(self._keys.decrypt(bytes(row["turns_enc"]), _CONTEXT)) for row in reversed(rows)]
        return [turn for entry in entries for turn in entry][-limit:]

    def add(
        self,
        run_id: UUID,
        step: str,
        number: int,
        at: datetime,
        session: str,
        turns: Sequence[Mapping[str, str]],
    ) -> None:
        encrypted = self._keys.encrypt(json.dumps(list(turns)), _CONTEXT)
        session_hash = self._keys.fingerprint(session)
        self._conn.execute(_ADD, [self._tenant_id, session_hash, step, number, at, encrypted, run_id])
