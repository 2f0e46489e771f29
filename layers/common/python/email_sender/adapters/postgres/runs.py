"""Runs and their steps in PostgreSQL. Implements workflows.ports.RunStore."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from email_sender import tracing
from email_sender.adapters.postgres.database import Row
from email_sender.adapters.postgres.encrypted_json import (
    INPUTS,
    RESULT,
    RUN_ERROR,
    STEP_ERROR,
    decrypted,
    encrypted,
    term_hashes,
)
from email_sender.adapters.postgres.run_content import run_columns, step_columns
from email_sender.security.permissions import Role
from email_sender.security.ports import TenantKeys
from email_sender.workflows.model import Run, RunCause, RunStatus, StepRecord, StepStatus


class PostgresRuns:
    """What runs get and give is encrypted."""

    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def add(self, run: Run) -> bool:
        result = self._conn.execute(
            """
            insert into runs (id, tenant_id, workflow_id, version, status, inputs, inputs_enc, term_hashes, started_by,
                              role, created_at, lineage, passed, called_by, depth, trigger_id, traceparent, cause)
            values (%(id)s, %(tenant_id)s, %(workflow_id)s, %(version)s, %(status)s, '{}', %(inputs_enc)s,
                    %(term_hashes)s, %(started_by)s, %(role)s, %(created_at)s, %(lineage)s, %(passed)s, %(called_by)s,
                    %(depth)s, %(trigger_id)s, %(traceparent)s, %(cause)s)
            on conflict (id) do nothing
            """,
            {
                "id": run.id,
                "tenant_id": self._tenant_id,
                "workflow_id": run.workflow_id,
                "version": run.version,
                "status": run.status,
                "started_by": run.started_by,
                "role": run.role,
                "created_at": run.created_at,
                "lineage": list(run.lineage),
                "passed": list(run.passed),
                "called_by": run.called_by,
                "depth": run.depth,
                "trigger_id": run.trigger_id,
                "traceparent": run.traceparent or tracing.traceparent(),
                "cause": run.cause,
                **run_columns(self._keys, run.inputs, None),
            },
        )
        return result.rowcount == 1

    def get(self, run_id: UUID, *, lock: bool = False) -> Run | None:
        query = "select * from runs where id = %s for update" if lock else "select * from runs where id = %s"
        row = self._conn.execute(query, [run_id]).fetchone()
        return self._run(row) if row else None

    def page(
        self, workflow_id: UUID | None, before: UUID | None, limit: int, status: RunStatus | None = None
    ) -> Sequence[Run]:
        rows = self._conn.execute(
            """
            select * from runs
            where (%(workflow)s::uuid is null or workflow_id = %(workflow)s)
              and (%(status)s::text is null or status = %(status)s)
              and (%(before)s::uuid is null or id < %(before)s)
            order by id desc limit %(limit)s
            """,
            {"workflow": workflow_id, "status": status, "before": before, "limit": limit},
        ).fetchall()
        return [self._run(row) for row in rows]

    def list_open_before(self, before: datetime) -> Sequence[Run]:
        rows = self._conn.execute(
            "select * from runs where status in ('pending', 'running', 'waiting') and created_at < %s order by id",
            [before],
        ).fetchall()
        return [self._run(row) for row in rows]

    def set_status(
        self,
        run_id: UUID,
        status: RunStatus,
        at: datetime,
        *,
        execution_arn: str | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> None:
        # The status of a run that has ended never changes.
        self._conn.execute(
            """
            update runs set
                status = %(status)s,
                execution_arn = coalesce(%(execution)s, execution_arn),
                error = null,
                error_enc = %(error)s,
                error_name = %(error_name)s,
                term_hashes = term_hashes || %(terms)s::bytea[],
                started_at = coalesce(started_at, %(at)s),
                finished_at = case when %(status)s in ('pending', 'running', 'waiting') then null
                                   else %(at)s::timestamptz end
            where id = %(id)s and status in ('pending', 'running', 'waiting')
            """,
            {
                "id": run_id,
                "status": status,
                "at": at,
                "execution": execution_arn,
                "error": encrypted(self._keys, error or None, RUN_ERROR),
                "error_name": error.get("name") if error else None,
                "terms": term_hashes(self._keys, error),
            },
        )

    def record(self, run_id: UUID, step: StepRecord) -> None:
        self._conn.execute(
            """
            insert into run_steps as s (tenant_id, run_id, step, item, action, status, attempts, result_enc, error_enc,
                                        error_name, email_id, term_hashes, started_at, finished_at)
            values (%(tenant_id)s, %(run_id)s, %(step)s, %(item)s, %(action)s, %(status)s, %(attempts)s, %(result_enc)s,
                    %(error_enc)s, %(error_name)s, %(email_id)s, %(term_hashes)s, %(started_at)s, %(finished_at)s)
            on conflict (run_id, step, item) do update set
                status = excluded.status,
                -- A wait and its result are one attempt; a repeat after a failure is another one.
                attempts = s.attempts + case when s.status = 'failed' then 1 else 0 end,
                result = null,
                error = null,
                result_enc = excluded.result_enc,
                error_enc = excluded.error_enc,
                error_name = excluded.error_name,
                email_id = excluded.email_id,
                term_hashes = excluded.term_hashes,
                started_at = least(s.started_at, excluded.started_at),
                finished_at = excluded.finished_at
            """,
            {
                "tenant_id": self._tenant_id,
                "run_id": run_id,
                "step": step.step,
                "item": step.item,
                "action": step.action,
                "status": step.status,
                "attempts": step.attempts,
                "started_at": step.started_at,
                "finished_at": step.finished_at,
                **step_columns(self._keys, step.result, step.error),
            },
        )

    def steps(self, run_id: UUID) -> Sequence[StepRecord]:
        rows = self._conn.execute(
            "select * from run_steps where run_id = %s order by started_at, step, item", [run_id]
        ).fetchall()
        return [self._step(row) for row in rows]

    def step(self, run_id: UUID, step: str, item: int) -> StepRecord | None:
        row = self._conn.execute(
            "select * from run_steps where run_id = %s and step = %s and item = %s", [run_id, step, item]
        ).fetchone()
        return self._step(row) if row else None

    def answer(self, run_id: UUID) -> Mapping[str, Any] | None:
        row = self._conn.execute(
            "select result, result_enc from run_steps where run_id = %s and action = 'webhook.answer' "
            "and status = 'succeeded' and (result is not null or result_enc is not null) "
            "order by finished_at, step limit 1",
            [run_id],
        ).fetchone()
        return decrypted(self._keys, row, "result", RESULT) if row else None

    def has_many_open(self, trigger_id: UUID, limit: int) -> bool:
        row = self._conn.execute(
            "select 1 from runs where trigger_id = %s and status in ('pending', 'running', 'waiting') "
            "limit 1 offset %s",
            [trigger_id, limit],
        ).fetchone()
        return row is not None

    def copy_step_results(self, run_id: UUID, earlier: UUID, steps: Sequence[str]) -> None:
        self._conn.execute(
            """
            insert into run_steps (tenant_id, run_id, step, item, action, status, attempts, result, result_enc,
                                   email_id, term_hashes, started_at, finished_at)
            select tenant_id, %s, step, item, action, status, attempts, result, result_enc,
                   email_id, term_hashes, started_at, finished_at
            from run_steps where run_id = %s and step = any(%s) and status = 'succeeded'
            on conflict do nothing
            """,
            [run_id, earlier, list(steps)],
        )

    def list_open_called_runs(self, run_id: UUID) -> Sequence[UUID]:
        rows = self._conn.execute(
            "select id from runs where called_by = %s and status in ('pending', 'running', 'waiting') order by id",
            [run_id],
        ).fetchall()
        return [row["id"] for row in rows]

    def _step(self, row: Row) -> StepRecord:
        return StepRecord(
            row["step"],
            row["item"],
            row["action"],
            StepStatus(row["status"]),
            row["started_at"],
            row["attempts"],
            decrypted(self._keys, row, "result", RESULT),
            decrypted(self._keys, row, "error", STEP_ERROR),
            row["finished_at"],
        )

    def _run(self, row: Row) -> Run:
        return Run(
            id=row["id"],
            workflow_id=row["workflow_id"],
            version=row["version"],
            status=RunStatus(row["status"]),
            inputs=decrypted(self._keys, row, "inputs", INPUTS),
            started_by=row["started_by"],
            role=Role(row["role"]),
            created_at=row["created_at"],
            execution_arn=row["execution_arn"],
            error=decrypted(self._keys, row, "error", RUN_ERROR),
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            lineage=row["lineage"],
            passed=row["passed"],
            called_by=row["called_by"],
            depth=row["depth"],
            trigger_id=row["trigger_id"],
            emptied_at=row["emptied_at"],
            traceparent=row["traceparent"],
            cause=RunCause(row["cause"]),
        )
