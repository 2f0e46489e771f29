"""Triggers in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Row
from email_sender.errors import NotFound
from email_sender.security.permissions import Role
from email_sender.security.ports import TenantKeys
from email_sender.workflows.triggers.model import Secrets, StoredTrigger, TriggerKind, TriggerState

_ENCRYPTION_CONTEXT = "triggers.secret"


class PostgresTriggers:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def publish(self, workflow_id: UUID, triggers: Sequence[StoredTrigger]) -> None:
        self._conn.execute(
            "update triggers set state = case when kind = 'webhook' then 'retired' else 'retiring' end "
            "where workflow_id = %s and id <> all(%s) and state not in ('retiring', 'retired')",
            [workflow_id, [trigger.id for trigger in triggers]],
        )
        for trigger in triggers:
            self._conn.execute(
                """
                insert into triggers as t (id, tenant_id, workflow_id, kind, definition, state, started_by, role)
                values (%s, %s, %s, %s, %s, %s, %s, %s)
                on conflict (id) do update set
                    definition = excluded.definition, started_by = excluded.started_by, role = excluded.role,
                    state = case when t.state = 'active' then 'active' else excluded.state end
                """,
                [
                    trigger.id,
                    self._tenant_id,
                    workflow_id,
                    trigger.kind,
                    Jsonb(dict(trigger.definition)),
                    trigger.state,
                    trigger.started_by,
                    trigger.role,
                ],
            )

    def get(self, trigger_id: UUID) -> StoredTrigger | None:
        row = self._conn.execute("select * from triggers where id = %s", [trigger_id]).fetchone()
        return _trigger(row) if row else None

    def list_for_workflow(self, workflow_id: UUID) -> Sequence[StoredTrigger]:
        rows = self._conn.execute(
            "select * from triggers where workflow_id = %s and state not in ('retiring', 'retired') "
            "order by created_at, id",
            [workflow_id],
        ).fetchall()
        return [_trigger(row) for row in rows]

    def list_all(self) -> Sequence[StoredTrigger]:
        return [_trigger(row) for row in self._conn.execute("select * from triggers order by id").fetchall()]

    def list_unsettled(self) -> Sequence[StoredTrigger]:
        rows = self._conn.execute(
            "select * from triggers where state in ('pending', 'retiring') order by created_at limit 100"
        ).fetchall()
        return [_trigger(row) for row in rows]

    def count(self, kind: TriggerKind) -> int:
        row = self._conn.execute(
            "select count(*) as n from triggers where kind = %s and state <> 'retired'", [kind]
        ).fetchone()
        return int(row["n"]) if row else 0

    def set_state(self, trigger_id: UUID, expected_state: TriggerState, state: TriggerState, error: str | None) -> None:
        self._conn.execute(
            "update triggers set state = %s, last_error = coalesce(%s, last_error) where id = %s and state = %s",
            [state, error, trigger_id, expected_state],
        )

    def record_start(self, trigger_id: UUID, at: datetime, run_id: UUID | None, error: str | None) -> None:
        self._conn.execute(
            "update triggers set last_at = %s, last_run_id = coalesce(%s, last_run_id), last_error = %s where id = %s",
            [at, run_id, error, trigger_id],
        )

    def secrets(self, trigger_id: UUID) -> Secrets:
        row = self._conn.execute(
            "select secret_enc, previous_enc, previous_ends from triggers where id = %s for update", [trigger_id]
        ).fetchone()
        if row is None:
            raise NotFound("Trigger not found.")
        return Secrets(self._decrypt(row["secret_enc"]), self._decrypt(row["previous_enc"]), row["previous_ends"])

    def save_secrets(self, trigger_id: UUID, secrets: Secrets) -> None:
        self._conn.execute(
            "update triggers set secret_enc = %s, previous_enc = %s, previous_ends = %s where id = %s",
            [self._encrypt(secrets.current), self._encrypt(secrets.previous), secrets.previous_ends, trigger_id],
        )

    def accounts_by_source(self, sources: Sequence[str]) -> Mapping[str, Sequence[str]]:
        rows = self._conn.execute(
            "select source, array_agg(account order by account) as accounts from event_sources "
            "where source = any(%s) group by source",
            [list(sources)],
        ).fetchall()
        return {row["source"]: row["accounts"] for row in rows}

    def _decrypt(self, ciphertext: bytes | None) -> str | None:
        return self._keys.decrypt(ciphertext, _ENCRYPTION_CONTEXT) if ciphertext is not None else None

    def _encrypt(self, secret: str | None) -> bytes | None:
        return self._keys.encrypt(secret, _ENCRYPTION_CONTEXT) if secret is not None else None


def _trigger(row: Row) -> StoredTrigger:
    return StoredTrigger(
        id=row["id"],
        workflow_id=row["workflow_id"],
        kind=TriggerKind(row["kind"]),
        definition=row["definition"],
        state=TriggerState(row["state"]),
        started_by=row["started_by"],
        role=Role(row["role"]),
        last_run_id=row["last_run_id"],
        last_error=row["last_error"],
        last_at=row["last_at"],
    )
