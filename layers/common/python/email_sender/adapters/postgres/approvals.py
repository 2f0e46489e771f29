"""Approvals in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Row
from email_sender.security.permissions import Role
from email_sender.workflows.model import Approval, Decision, ShownDraft


class PostgresApprovals:
    def __init__(self, conn: Connection[Row], tenant_id: UUID) -> None:
        self._conn, self._tenant_id = conn, tenant_id

    def add(self, approval: Approval) -> Approval:
        row = self._conn.execute(
            """
            insert into approvals (id, tenant_id, run_id, step, title, drafts, task_token, requested_at, expires_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (run_id, step) do update set task_token = excluded.task_token, delivered_at = null
            returning *
            """,
            [
                approval.id,
                self._tenant_id,
                approval.run_id,
                approval.step,
                approval.title,
                _drafts(approval),
                approval.task_token,
                approval.requested_at,
                approval.expires_at,
            ],
        ).fetchone()
        assert row is not None  # noqa: S101  # an upsert returns its row
        return _approval(row)

    def get(self, approval_id: UUID, *, lock: bool = False) -> Approval | None:
        query = "select * from approvals where id = %s"
        row = self._conn.execute(f"{query} for update" if lock else query, [approval_id]).fetchone()
        return _approval(row) if row else None

    def page(self, status: str | None, after: UUID | None, limit: int) -> Sequence[Approval]:
        rows = self._conn.execute(
            "select * from approvals where (%s::text is null or status = %s) and id > %s order by id limit %s",
            [status, status, after or UUID(int=0), limit],
        ).fetchall()
        return [_approval(row) for row in rows]

    def save(self, approval: Approval) -> None:
        self._conn.execute(
            """
            update approvals set status = %s, decided_by = %s, decided_role = %s, comment = %s, decided_at = %s,
                delivered_at = %s, drafts = %s
            where id = %s
            """,
            [
                approval.status,
                approval.decided_by,
                approval.decided_role,
                approval.comment,
                approval.decided_at,
                approval.delivered_at,
                _drafts(approval),
                approval.id,
            ],
        )

    def list_undelivered(self, before: datetime) -> Sequence[Approval]:
        rows = self._conn.execute(
            "select * from approvals where status in ('approved', 'denied') and delivered_at is null "
            "and decided_at < %s order by id for update skip locked",
            [before],
        ).fetchall()
        return [_approval(row) for row in rows]

    def list_overdue(self, now: datetime) -> Sequence[Approval]:
        rows = self._conn.execute(
            "select * from approvals where status = 'pending' and expires_at < %s order by id",
            [now],
        ).fetchall()
        return [_approval(row) for row in rows]

    def close(self, run_id: UUID, at: datetime) -> None:
        self._conn.execute(
            "update approvals set status = 'expired', decided_at = %s, delivered_at = %s "
            "where run_id = %s and status = 'pending'",
            [at, at, run_id],
        )

    def current_drafts(self, drafts: Sequence[tuple[UUID, str]]) -> Mapping[UUID, str]:
        rows = self._conn.execute(
            """
            select d.id, d.sha256 from drafts d
            join unnest(%s::uuid[], %s::text[]) as wanted (id, sha256)
              on wanted.id = d.id and (wanted.sha256 = d.sha256 or wanted.sha256 = any(d.earlier_hashes))
            where not exists (
                select from messages m where m.id = any(d.evidence) and m.contact_id is distinct from d.contact_id
            )
            for share of d
            """,
            [[draft[0] for draft in drafts], [draft[1] for draft in drafts]],
        ).fetchall()
        return {row["id"]: row["sha256"] for row in rows}


def _drafts(approval: Approval) -> Jsonb:
    return Jsonb(
        [
            {"draft_id": str(draft.draft_id), "sha256": draft.sha256, **({"left_out": True} if draft.left_out else {})}
            for draft in approval.drafts
        ]
    )


def _approval(row: Row) -> Approval:
    return Approval(
        id=row["id"],
        run_id=row["run_id"],
        step=row["step"],
        title=row["title"],
        drafts=[
            ShownDraft(UUID(draft["draft_id"]), draft["sha256"], draft.get("left_out", False))
            for draft in row["drafts"]
        ],
        task_token=row["task_token"],
        expires_at=row["expires_at"],
        requested_at=row["requested_at"],
        status=Decision(row["status"]),
        decided_by=row["decided_by"],
        decided_role=Role(row["decided_role"]) if row["decided_role"] else None,
        comment=row["comment"],
        decided_at=row["decided_at"],
        delivered_at=row["delivered_at"],
    )
