"""Workflows and runs in PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender import tracing
from email_sender.adapters.postgres.approvals import PostgresApprovals
from email_sender.adapters.postgres.conversations import PostgresConversations
from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.seen_values import PostgresSeenValues
from email_sender.adapters.postgres.step_responses import PostgresStepResponses
from email_sender.adapters.postgres.stored_items import PostgresStoredItems
from email_sender.adapters.postgres.triggers import PostgresTriggers
from email_sender.adapters.postgres.unit_of_work import Unit
from email_sender.adapters.postgres.waits import PostgresWaits
from email_sender.coordination.events import Bus
from email_sender.errors import Conflict
from email_sender.security.permissions import Role
from email_sender.security.ports import TenantKeys, Vault
from email_sender.workflows.model import (
    Actor,
    Run,
    RunStatus,
    StepRecord,
    StepStatus,
    Workflow,
    WorkflowStatus,
    WorkflowVersion,
)


class PostgresWorkflowUnit(Unit):
    def __init__(self, conn: Connection[Row], tenant_id: UUID, bus: Bus | None, keys: TenantKeys | None = None) -> None:
        super().__init__(conn, tenant_id, bus)
        self.workflows = PostgresWorkflows(conn, tenant_id)
        self.runs = PostgresRuns(conn, tenant_id)
        self.approvals = PostgresApprovals(conn, tenant_id)
        self.waits = PostgresWaits(conn, tenant_id)
        self.step_responses = PostgresStepResponses(conn, tenant_id, keys)
        self.conversations = PostgresConversations(conn, tenant_id, keys)
        self.stored_items = PostgresStoredItems(conn, tenant_id, keys)
        self.seen_values = PostgresSeenValues(conn, tenant_id, keys)
        self.triggers = PostgresTriggers(conn, tenant_id, keys)


class PostgresWorkflowUnits:
    """`vault` is needed only by callers that use secrets of triggers, or responses or stored items of steps."""

    def __init__(self, database: Database, bus: Bus | None, vault: Vault | None = None) -> None:
        self._database, self._bus, self._vault = database, bus, vault

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[PostgresWorkflowUnit]:
        # Read the keys before the transaction begins: the vault uses the same pool, which has one connection.
        keys = self._vault.keys_for(tenant_id) if self._vault is not None else None
        with self._database.tenant(tenant_id) as conn:
            yield PostgresWorkflowUnit(conn, tenant_id, self._bus, keys)


class PostgresWorkflows:
    def __init__(self, conn: Connection[Row], tenant_id: UUID) -> None:
        self._conn, self._tenant_id = conn, tenant_id

    def missing_templates(self, names: Sequence[str]) -> Sequence[str]:
        rows = self._conn.execute(
            "select wanted from unnest(%s::text[]) wanted "
            "where not exists (select from templates t where t.name = wanted or t.id::text = lower(wanted))",
            [list(names)],
        ).fetchall()
        return [row["wanted"] for row in rows]

    def add(self, workflow: Workflow, publisher: Actor) -> None:
        row = self._conn.execute(
            "insert into workflows (id, tenant_id, name, definition) values (%s, %s, %s, %s) "
            "on conflict (tenant_id, name) do nothing returning id",
            [workflow.id, self._tenant_id, workflow.name, Jsonb(workflow.definition)],
        ).fetchone()
        if row is None:
            raise Conflict(f"A workflow with the name {workflow.name!r} already exists. Use PUT to add a version.")
        self._add_version(workflow, publisher)

    def add_version(self, workflow: Workflow, publisher: Actor) -> None:
        name_owner = self._conn.execute(
            "select 1 from workflows where name = %s and id <> %s", [workflow.name, workflow.id]
        ).fetchone()
        if name_owner is not None:
            raise Conflict(f"A workflow with the name {workflow.name!r} already exists.")
        result = self._conn.execute(
            "update workflows set name = %s, definition = %s, version = %s, updated_at = now() "
            "where id = %s and version = %s",
            [workflow.name, Jsonb(workflow.definition), workflow.version, workflow.id, workflow.version - 1],
        )
        if result.rowcount != 1:
            raise Conflict("Another request has just changed the workflow. Read it again before you change it.")
        self._add_version(workflow, publisher)

    def get(self, workflow_id: UUID) -> Workflow | None:
        row = self._conn.execute("select * from workflows where id = %s", [workflow_id]).fetchone()
        return _workflow(row) if row else None

    def find_by_name_or_id(self, name: str) -> Workflow | None:
        row = self._conn.execute(
            "select * from workflows where name = %s or id::text = %s order by (name = %s) desc limit 1", [name] * 3
        ).fetchone()
        return _workflow(row) if row else None

    def version(self, workflow_id: UUID, version: int) -> WorkflowVersion | None:
        row = self._conn.execute(
            "select * from workflow_versions where workflow_id = %s and version = %s", [workflow_id, version]
        ).fetchone()
        return _workflow_version(row) if row else None

    def versions(self, workflow_id: UUID, before: int | None, limit: int) -> Sequence[WorkflowVersion]:
        rows = self._conn.execute(
            "select * from workflow_versions "
            "where workflow_id = %s and (%s::integer is null or version < %s) order by version desc limit %s",
            [workflow_id, before, before, limit],
        ).fetchall()
        return [_workflow_version(row) for row in rows]

    def page(self, after: UUID | None, limit: int) -> Sequence[Workflow]:
        rows = self._conn.execute(
            "select * from workflows where id > %s order by id limit %s", [after or UUID(int=0), limit]
        ).fetchall()
        return [_workflow(row) for row in rows]

    def archive(self, workflow_id: UUID) -> bool:
        result = self._conn.execute(
            "update workflows set status = 'archived', updated_at = now() where id = %s and status = 'active'",
            [workflow_id],
        )
        return result.rowcount == 1

    def _add_version(self, workflow: Workflow, publisher: Actor) -> None:
        self._conn.execute(
            "insert into workflow_versions (tenant_id, workflow_id, version, definition, published_by, published_role) "
            "values (%s, %s, %s, %s, %s, %s)",
            [
                self._tenant_id, workflow.id, workflow.version, Jsonb(workflow.definition), publisher.subject,
                publisher.role,
            ],
        )  # fmt: skip


class PostgresRuns:
    def __init__(self, conn: Connection[Row], tenant_id: UUID) -> None:
        self._conn, self._tenant_id = conn, tenant_id

    def add(self, run: Run) -> bool:
        result = self._conn.execute(
            """
            insert into runs (id, tenant_id, workflow_id, version, status, inputs, started_by, role, created_at,
                              lineage, passed, called_by, depth, trigger_id, traceparent)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (id) do nothing
            """,
            [
                run.id,
                self._tenant_id,
                run.workflow_id,
                run.version,
                run.status,
                Jsonb(run.inputs),
                run.started_by,
                run.role,
                run.created_at,
                list(run.lineage),
                list(run.passed),
                run.called_by,
                run.depth,
                run.trigger_id,
                run.traceparent or tracing.traceparent(),
            ],
        )
        return result.rowcount == 1

    def get(self, run_id: UUID, *, lock: bool = False) -> Run | None:
        query = "select * from runs where id = %s for update" if lock else "select * from runs where id = %s"
        row = self._conn.execute(query, [run_id]).fetchone()
        return _run(row) if row else None

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
        return [_run(row) for row in rows]

    def list_open_before(self, before: datetime) -> Sequence[Run]:
        rows = self._conn.execute(
            "select * from runs where status in ('pending', 'running', 'waiting') and created_at < %s order by id",
            [before],
        ).fetchall()
        return [_run(row) for row in rows]

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
                error = %(error)s,
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
                "error": Jsonb(error) if error else None,
            },
        )

    def record(self, run_id: UUID, step: StepRecord) -> None:
        self._conn.execute(
            """
            insert into run_steps as s (tenant_id, run_id, step, item, action, status, attempts, result, error,
                                        started_at, finished_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (run_id, step, item) do update set
                status = excluded.status,
                -- A wait and its result are one attempt; a repeat after a failure is another one.
                attempts = s.attempts + case when s.status = 'failed' then 1 else 0 end,
                result = excluded.result,
                error = excluded.error,
                started_at = least(s.started_at, excluded.started_at),
                finished_at = excluded.finished_at
            """,
            [
                self._tenant_id,
                run_id,
                step.step,
                step.item,
                step.action,
                step.status,
                step.attempts,
                Jsonb(step.result) if step.result is not None else None,
                Jsonb(step.error) if step.error is not None else None,
                step.started_at,
                step.finished_at,
            ],
        )

    def steps(self, run_id: UUID) -> Sequence[StepRecord]:
        rows = self._conn.execute(
            "select * from run_steps where run_id = %s order by started_at, step, item", [run_id]
        ).fetchall()
        return [_step(row) for row in rows]

    def step(self, run_id: UUID, step: str, item: int) -> StepRecord | None:
        row = self._conn.execute(
            "select * from run_steps where run_id = %s and step = %s and item = %s", [run_id, step, item]
        ).fetchone()
        return _step(row) if row else None

    def answer(self, run_id: UUID) -> Mapping[str, Any] | None:
        row = self._conn.execute(
            "select result from run_steps where run_id = %s and action = 'webhook.answer' and status = 'succeeded' "
            "and result is not null order by finished_at, step limit 1",
            [run_id],
        ).fetchone()
        return row["result"] if row else None

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
            insert into run_steps (tenant_id, run_id, step, item, action, status, attempts, result, started_at,
                                   finished_at)
            select tenant_id, %s, step, item, action, status, attempts, result, started_at, finished_at
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


def _step(row: Row) -> StepRecord:
    return StepRecord(
        row["step"],
        row["item"],
        row["action"],
        StepStatus(row["status"]),
        row["started_at"],
        row["attempts"],
        row["result"],
        row["error"],
        row["finished_at"],
    )


def _workflow_version(row: Row) -> WorkflowVersion:
    # Nobody knows the publisher's role of older versions: they get the rights that everybody has who may start a run.
    role = Role(row["published_role"] or Role.USER)
    return WorkflowVersion(row["version"], row["definition"], row["published_by"], row["created_at"], role)


def _workflow(row: Row) -> Workflow:
    return Workflow(
        id=row["id"],
        name=row["name"],
        definition=row["definition"],
        version=row["version"],
        status=WorkflowStatus(row["status"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _run(row: Row) -> Run:
    return Run(
        id=row["id"],
        workflow_id=row["workflow_id"],
        version=row["version"],
        status=RunStatus(row["status"]),
        inputs=row["inputs"],
        started_by=row["started_by"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        execution_arn=row["execution_arn"],
        error=row["error"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        lineage=row["lineage"],
        passed=row["passed"],
        called_by=row["called_by"],
        depth=row["depth"],
        trigger_id=row["trigger_id"],
        emptied_at=row["emptied_at"],
        traceparent=row["traceparent"],
    )
