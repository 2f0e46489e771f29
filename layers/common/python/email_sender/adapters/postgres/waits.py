"""Waits of steps in PostgreSQL: for replies to emails, for the end of runs, and for answers at callback URLs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Json

from email_sender.adapters.postgres.database import Row
from email_sender.storable_json import storable
from email_sender.workflows.model import SettledWait, Wait, WaitKind

# The row of the email or run shows whether the wait is over, so code that ends one does not need to know its waits.
_SELECT_SETTLED = """
select w.*, e.status as email_status, e.contact_id, r.status as run_status,
       coalesce(e.replied_at, case when w.accepts_others then e.other_replied_at end) as replied_at,
       coalesce(e.reply_id, case when w.accepts_others then e.other_reply_id end) as reply_id
from task_waits w
left join emails e on w.kind = 'reply' and e.id = w.subject
left join runs r on w.kind = 'run' and r.id = w.subject
where w.delivered_at is null and (%(subject)s::uuid is null or w.subject = %(subject)s)
  and (w.expires_at < %(now)s or w.answered_at is not null
       or e.replied_at is not null or (w.accepts_others and e.other_replied_at is not null)
       or e.status in ('rejected', 'suppressed', 'bounced', 'complained')
       or r.status in ('succeeded', 'failed', 'cancelled', 'timed_out'))
order by w.asked_at for update of w skip locked
"""


class PostgresWaits:
    def __init__(self, conn: Connection[Row], tenant_id: UUID) -> None:
        self._conn, self._tenant_id = conn, tenant_id

    def add(self, wait: Wait) -> UUID:
        row = self._conn.execute(
            """
            insert into task_waits as w (tenant_id, run_id, step, item, kind, subject, task_token, asked_at, expires_at,
                                    accepts_others)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (run_id, step, item) do update set
                task_token = excluded.task_token,
                expires_at = case when w.delivered_at is null then w.expires_at else excluded.expires_at end,
                subject = case when w.delivered_at is null or w.answered_at is null then w.subject
                               else excluded.subject end,
                answered_at = case when w.delivered_at is null then w.answered_at end,
                delivered_at = null
            returning subject
            """,
            [
                self._tenant_id,
                wait.run_id,
                wait.step,
                wait.item,
                wait.kind,
                wait.subject,
                wait.task_token,
                wait.asked_at,
                wait.expires_at,
                wait.accepts_others,
            ],
        ).fetchone()
        if row is None:
            raise LookupError("a stored wait is returned")
        subject: UUID = row["subject"]
        return subject

    def list_settled(self, now: datetime, subject: UUID | None = None) -> Sequence[SettledWait]:
        rows = self._conn.execute(_SELECT_SETTLED, {"now": now, "subject": subject}).fetchall()
        return [_settled_wait(row) for row in rows]

    def mark_delivered(self, wait: Wait, at: datetime) -> None:
        self._conn.execute(
            "update task_waits set delivered_at = %s, answer = null "
            "where (run_id, step, item, task_token) = (%s, %s, %s, %s)",
            [at, *_identity(wait)],
        )

    def is_open(self, wait: Wait) -> bool:
        row = self._conn.execute(
            "select from task_waits where (run_id, step, item, task_token) = (%s, %s, %s, %s) and delivered_at is null",
            _identity(wait),
        ).fetchone()
        return row is not None

    def forget(self, wait: Wait, at: datetime) -> bool:
        ended = self._conn.execute(
            "update task_waits set delivered_at = %s where (run_id, step, item, task_token) = (%s, %s, %s, %s) "
            "and delivered_at is null and answered_at is null",
            [at, *_identity(wait)],
        )
        return ended.rowcount > 0

    def has_callback(self, callback_id: UUID) -> bool:
        row = self._conn.execute(
            "select from task_waits where kind = 'callback' and subject = %s", [callback_id]
        ).fetchone()
        return row is not None

    def answer(self, callback_id: UUID, answer: Mapping[str, Any], at: datetime) -> bool:
        stored = self._conn.execute(
            """
            update task_waits set answer = case when answered_at is null then %s else answer end,
                                  answered_at = coalesce(answered_at, %s)
            where kind = 'callback' and subject = %s
              and (answered_at is not null or (delivered_at is null and expires_at >= %s))
            """,
            [Json(storable(answer)), at, callback_id, at],
        )
        return stored.rowcount > 0

    def close(self, run_id: UUID, at: datetime) -> Mapping[tuple[str, int], datetime]:
        rows = self._conn.execute(
            "update task_waits set delivered_at = %s, answer = null where run_id = %s and delivered_at is null "
            "returning step, item, expires_at",
            [at, run_id],
        ).fetchall()
        return {(row["step"], row["item"]): row["expires_at"] for row in rows}


def _identity(wait: Wait) -> list[Any]:
    """Return what tells this wait from another one of its step: a step that is repeated has another task token."""
    return [wait.run_id, wait.step, wait.item, wait.task_token]


def _settled_wait(row: Row) -> SettledWait:
    wait = Wait(
        row["run_id"],
        row["step"],
        row["item"],
        WaitKind(row["kind"]),
        row["subject"],
        row["task_token"],
        row["asked_at"],
        row["expires_at"],
        row["accepts_others"],
    )
    if wait.kind is WaitKind.REPLY:
        return SettledWait(wait, result=_reply(row))
    if wait.kind is WaitKind.CALLBACK:
        return _answered_wait(wait, row["answer"])
    status = row["run_status"]
    if status == "succeeded":
        return SettledWait(wait, result={"run_id": str(wait.subject), "status": status})
    if status in ("failed", "cancelled", "timed_out"):
        return SettledWait(wait, error=("rejected", f"The run {wait.subject} that the step called ended as {status}."))
    return SettledWait(wait)


def _answered_wait(wait: Wait, answer: Mapping[str, Any] | None) -> SettledWait:
    if answer is None:
        return SettledWait(wait, error=("timeout", "No answer came in time."))
    if answer.get("error") is not None:
        return SettledWait(wait, error=("rejected", answer["error"]))
    return SettledWait(wait, result={"result": answer.get("result")})


def _reply(row: Row) -> dict[str, Any]:
    """Return the result of a wait for a reply that is over. It names the contact, unless the contact was deleted."""
    contact = {"contact_id": str(row["contact_id"])} if row["contact_id"] else {}
    if row["replied_at"] is not None:
        return {
            "replied": True,
            "message_id": str(row["reply_id"]),
            **contact,
            "at": row["replied_at"].isoformat(),
        }
    ended = row["email_status"] in ("rejected", "suppressed", "bounced", "complained")
    return {"replied": False, "reason": row["email_status"] if ended else "timeout", **contact}
