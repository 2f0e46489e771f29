"""Workflows in PostgreSQL, and units of work with all that belongs to them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.approvals import PostgresApprovals
from email_sender.adapters.postgres.conversations import PostgresConversations
from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.encrypted_json import NoKeys
from email_sender.adapters.postgres.runs import PostgresRuns
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
from email_sender.workflows.model import Actor, Workflow, WorkflowStatus, WorkflowVersion


class PostgresWorkflowUnit(Unit):
    def __init__(self, conn: Connection[Row], tenant_id: UUID, bus: Bus | None, keys: TenantKeys) -> None:
        super().__init__(conn, tenant_id, bus)
        self.workflows = PostgresWorkflows(conn, tenant_id)
        self.runs = PostgresRuns(conn, tenant_id, keys)
        self.approvals = PostgresApprovals(conn, tenant_id)
        self.waits = PostgresWaits(conn, tenant_id)
        self.step_responses = PostgresStepResponses(conn, tenant_id, keys)
        self.conversations = PostgresConversations(conn, tenant_id, keys)
        self.stored_items = PostgresStoredItems(conn, tenant_id, keys)
        self.seen_values = PostgresSeenValues(conn, tenant_id, keys)
        self.triggers = PostgresTriggers(conn, tenant_id, keys)


class PostgresWorkflowUnits:
    """Without a vault, secrets of triggers and what runs contain cannot be read or written."""

    def __init__(self, database: Database, bus: Bus | None, vault: Vault | None = None) -> None:
        self._database, self._bus, self._vault = database, bus, vault

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[PostgresWorkflowUnit]:
        # Read the keys before the transaction begins: the vault uses the same pool, which has one connection.
        keys = self._vault.keys_for(tenant_id) if self._vault is not None else NoKeys()
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
