"""What the runs of a workflow have seen, in PostgreSQL. Implements workflows.ports.SeenValues."""

from collections.abc import Sequence
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Row
from email_sender.errors import InvalidInput
from email_sender.security.ports import TenantKeys
from email_sender.workflows.ports import Question

_LOCK = "select pg_advisory_xact_lock(hashtextextended('seen/' || %s || '/' || %s, 0))"
_WORKFLOW = "select workflow_id from runs where id = %s"
_ADD = """
insert into seen_values (tenant_id, workflow_id, scope, value_hash, run_id, step, place)
select %s, %s, %s, hash, %s, %s, %s from unnest(%s::bytea[]) hash
on conflict do nothing
"""
_NEW = """
select value_hash from seen_values
where workflow_id = %s and scope = %s and run_id = %s and step = %s and place = %s and value_hash = any(%s)
"""
_BEFORE = "select value from reached_before where run_id = %s and step = %s and scope = %s and place = %s"
_HIGHEST = "select value from reached_values where workflow_id = %s and scope = %s"
_KEEP_BEFORE = (
    "insert into reached_before (tenant_id, run_id, step, scope, place, value) values (%s, %s, %s, %s, %s, %s)"
)
_REACH = """
insert into reached_values as r (tenant_id, workflow_id, scope, value) values (%s, %s, %s, %s)
on conflict (tenant_id, workflow_id, scope) do update set value = greatest(r.value, excluded.value)
"""


class PostgresSeenValues:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def add(self, question: Question, scope: str, values: Sequence[str], limit: int) -> Sequence[bool]:
        workflow_id = self._locked_workflow(question, scope)
        hashes = [self._keys.fingerprint(value) for value in values]
        source = [question.origin, question.step, question.place]
        self._conn.execute(_ADD, [self._tenant_id, workflow_id, scope, *source, hashes])
        query = "select count(*) as count from seen_values where workflow_id = %s and scope = %s"
        counted = self._conn.execute(query, [workflow_id, scope]).fetchone()
        if counted is not None and counted["count"] > limit:
            raise InvalidInput(
                f"The node has seen {counted['count']:,} values with these, and its history size is {limit:,}. "
                "Clear the history, or make it larger."
            )
        rows = self._conn.execute(_NEW, [workflow_id, scope, *source, hashes]).fetchall()
        new = {bytes(row["value_hash"]) for row in rows}
        return [value_hash in new for value_hash in hashes]

    def reach(self, question: Question, scope: str, value: float) -> float | None:
        workflow_id = self._locked_workflow(question, scope)
        source = [question.origin, question.step, scope, question.place]
        answered = self._conn.execute(_BEFORE, source).fetchone()
        if answered is not None:
            return _number(answered)
        highest = self._conn.execute(_HIGHEST, [workflow_id, scope]).fetchone()
        before = _number(highest) if highest else None
        self._conn.execute(_KEEP_BEFORE, [self._tenant_id, *source, before])
        self._conn.execute(_REACH, [self._tenant_id, workflow_id, scope, value])
        return before

    def clear(self, question: Question, scope: str) -> None:
        workflow_id = self._locked_workflow(question, scope)
        self._conn.execute("delete from seen_values where workflow_id = %s and scope = %s", [workflow_id, scope])
        scopes = [f"{scope}/{kind}" for kind in ("number", "date")]
        query = "delete from reached_values where workflow_id = %s and scope = any(%s)"
        self._conn.execute(query, [workflow_id, scopes])

    def _locked_workflow(self, question: Question, scope: str) -> UUID:
        """Return the workflow of the run. Two of its runs ask one after the other."""
        row = self._conn.execute(_WORKFLOW, [question.run_id]).fetchone()
        if row is None:
            raise LookupError("The run does not exist.")
        self._conn.execute(_LOCK, [str(row["workflow_id"]), scope])
        found: UUID = row["workflow_id"]
        return found


def _number(row: Row) -> float | None:
    value: float | None = row["value"]
    return value
