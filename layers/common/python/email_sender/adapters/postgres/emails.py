"""Drafts and emails."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Row
from email_sender.messaging.model import (
    BounceType,
    Content,
    Draft,
    DraftApproval,
    Email,
    EmailFilter,
    EmailStatus,
)
from email_sender.messaging.reasons import LEFT_OUT
from email_sender.security.ports import TenantKeys

DRAFT = "drafts.content"


class PostgresDrafts:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def add(self, draft: Draft) -> Draft:
        result = self._conn.execute(
            """
            insert into drafts (id, tenant_id, run_id, step, item, contact_id, template_id, template_version,
                                content_enc, sha256, evidence)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (tenant_id, run_id, step, item) do nothing
            """,
            [
                draft.id,
                self._tenant_id,
                draft.run_id,
                draft.step,
                draft.item,
                draft.contact_id,
                draft.template_id,
                draft.template_version,
                self._encrypt(draft),
                draft.sha256,
                list(draft.evidence),
            ],
        )
        if result.rowcount == 1:
            return draft
        row = self._conn.execute(
            "select * from drafts where run_id = %s and step = %s and item = %s", [draft.run_id, draft.step, draft.item]
        ).fetchone()
        assert row is not None  # noqa: S101  # the insert conflicted with this row
        return self._draft(row)

    def get(self, draft_id: UUID) -> Draft | None:
        row = self._conn.execute("select * from drafts where id = %s", [draft_id]).fetchone()
        return self._draft(row) if row else None

    def get_many(self, ids: Sequence[UUID]) -> Sequence[Draft]:
        rows = self._conn.execute("select * from drafts where id = any(%s)", [list(ids)]).fetchall()
        by_id = {row["id"]: self._draft(row) for row in rows}
        return [by_id[draft_id] for draft_id in ids if draft_id in by_id]

    def of_contact(self, contact_id: UUID, limit: int) -> Sequence[Draft]:
        rows = self._conn.execute(
            "select * from drafts where contact_id = %s order by id desc limit %s", [contact_id, limit]
        ).fetchall()
        return [self._draft(row) for row in rows]

    def edit(self, draft: Draft, replaced_hash: str) -> bool:
        # Locked, so that nobody decides on the text that is being replaced.
        shown = self._conn.execute(
            "select id, status from approvals where drafts @> %s order by id for update",
            [Jsonb([{"draft_id": str(draft.id)}])],
        ).fetchall()
        if not shown or any(approval["status"] != "pending" for approval in shown):
            return False
        result = self._conn.execute(
            """
            update drafts set content_enc = %s, sha256 = %s, earlier_hashes = earlier_hashes || sha256, edited_by = %s,
                edited_at = %s
            where id = %s and sha256 = %s
            """,
            [self._encrypt(draft), draft.sha256, draft.edited_by, draft.edited_at, draft.id, replaced_hash],
        )
        if result.rowcount != 1:
            return False
        self._conn.execute(
            """
            update approvals set drafts = (
                select jsonb_agg(
                    case when shown ->> 'draft_id' = %s then jsonb_set(shown, '{sha256}', %s) else shown end
                    order by place
                )
                from jsonb_array_elements(drafts) with ordinality as each (shown, place)
            )
            where id = any(%s)
            """,
            [str(draft.id), Jsonb(draft.sha256), [approval["id"] for approval in shown]],
        )
        return True

    def approvals_of(self, run_id: UUID, draft_id: UUID) -> Sequence[DraftApproval]:
        rows = self._conn.execute(
            """
            select shown ->> 'sha256' as sha256, a.status, a.decided_role,
                   coalesce((shown ->> 'left_out')::boolean, false) as left_out
            from approvals a, jsonb_array_elements(a.drafts) shown
            where a.run_id = %s and a.drafts @> %s and shown ->> 'draft_id' = %s
            """,
            [run_id, Jsonb([{"draft_id": str(draft_id)}]), str(draft_id)],
        ).fetchall()
        return [DraftApproval(row["sha256"], row["status"], row["decided_role"], row["left_out"]) for row in rows]

    def _encrypt(self, draft: Draft) -> bytes:
        content = {
            **asdict(draft.content),
            "evidence": [str(message_id) for message_id in draft.evidence],
            "follows": str(draft.follows) if draft.follows else None,
            "answers": str(draft.answers) if draft.answers else None,
        }
        return self._keys.encrypt(json.dumps(content), DRAFT)

    def _draft(self, row: Row) -> Draft:
        content = json.loads(self._keys.decrypt(row["content_enc"], DRAFT))
        return Draft(
            id=row["id"],
            run_id=row["run_id"],
            step=row["step"],
            item=row["item"],
            contact_id=row["contact_id"],
            template_id=row["template_id"],
            template_version=row["template_version"],
            content=Content(content["subject"], content["text"], content["html"]),
            sha256=row["sha256"],
            evidence=[UUID(message_id) for message_id in content["evidence"]],
            created_at=row["created_at"],
            follows=UUID(content["follows"]) if content.get("follows") else None,
            answers=UUID(content["answers"]) if content.get("answers") else None,
            edited_by=row["edited_by"],
            edited_at=row["edited_at"],
        )


class PostgresEmails:
    def __init__(self, conn: Connection[Row], tenant_id: UUID) -> None:
        self._conn, self._tenant_id = conn, tenant_id

    def claim(self, email: Email) -> tuple[Email, bool]:
        # A single statement: of two concurrent claims, exactly one receives a row.
        row = self._conn.execute(
            """
            insert into emails as e (id, tenant_id, run_id, step, contact_id, draft_id, sha256, status, lease_until,
                                     created_at)
            values (%s, %s, %s, %s, %s, %s, %s, 'sending', %s, %s)
            on conflict (tenant_id, run_id, step, contact_id) do update
                set status = 'sending', lease_until = excluded.lease_until, error = null, updated_at = now(),
                    draft_id = excluded.draft_id, sha256 = excluded.sha256
                where e.status = 'queued'
                   or (e.status = 'rejected' and e.error = %s and e.draft_id <> excluded.draft_id)
            returning *
            """,
            [
                email.id,
                self._tenant_id,
                email.run_id,
                email.step,
                email.contact_id,
                email.draft_id,
                email.sha256,
                email.lease_until,
                email.created_at,
                LEFT_OUT,
            ],
        ).fetchone()
        if row is not None:
            return _email(row), True
        row = self._conn.execute(
            "select * from emails where run_id = %s and step = %s and contact_id = %s for update",
            [email.run_id, email.step, email.contact_id],
        ).fetchone()
        assert row is not None  # noqa: S101  # the insert conflicted with this row
        return _email(row), False

    def get(self, email_id: UUID) -> Email | None:
        row = self._conn.execute("select * from emails where id = %s for update", [email_id]).fetchone()
        return _email(row) if row else None

    def page(self, email_filter: EmailFilter, before: UUID | None, limit: int) -> Sequence[Email]:
        rows = self._conn.execute(
            """
            select * from emails
            where (%(before)s::uuid is null or id < %(before)s)
              and (%(run)s::uuid is null or run_id = %(run)s)
              and (%(contact)s::uuid is null or contact_id = %(contact)s)
              and (%(status)s::text is null or status = %(status)s)
            order by id desc limit %(limit)s
            """,
            {
                "before": before,
                "run": email_filter.run_id,
                "contact": email_filter.contact_id,
                "status": email_filter.status,
                "limit": limit,
            },
        ).fetchall()
        return [_email(row) for row in rows]

    def find_last_of_runs(self, run_ids: Sequence[UUID], contact_id: UUID) -> Email | None:
        row = self._conn.execute(
            "select * from emails where run_id = any(%s) and contact_id = %s and provider_message_id is not null "
            "order by id desc limit 1",
            [list(run_ids), contact_id],
        ).fetchone()
        return _email(row) if row else None

    def count_since(self, contact_id: UUID, since: datetime) -> int:
        row = self._conn.execute(
            "select count(*) as count from emails where contact_id = %s and created_at >= %s "
            "and status not in ('rejected', 'suppressed')",
            [contact_id, since],
        ).fetchone()
        return int(row["count"]) if row else 0

    def find_by_provider_ids(self, provider_ids: Sequence[str]) -> Email | None:
        row = self._conn.execute(
            "select * from emails where provider_message_id = any(%s) order by id desc limit 1", [list(provider_ids)]
        ).fetchone()
        return _email(row) if row else None

    def settle(
        self,
        email_id: UUID,
        status: EmailStatus,
        at: datetime,
        provider_message_id: str | None,
        error: str | None,
        bounce_type: BounceType | None = None,
    ) -> None:
        self._conn.execute(
            """
            update emails set status = %s, error = %s, bounce_type = %s, updated_at = %s,
                provider_message_id = coalesce(%s, provider_message_id),
                sent_at = case when %s in ('sent', 'delivered', 'bounced', 'complained') then coalesce(sent_at, %s) end
            where id = %s
            """,
            [status, error, bounce_type, at, provider_message_id, status, at, email_id],
        )

    def mark_answered(self, email_id: UUID, message_id: UUID, at: datetime) -> bool:
        result = self._conn.execute(
            "update emails set replied_at = %s, reply_id = %s where id = %s and replied_at is null",
            [at, message_id, email_id],
        )
        return result.rowcount == 1

    def add_report(self, email_id: UUID, kind: str, detail: str, at: datetime) -> bool:
        result = self._conn.execute(
            "insert into email_reports (tenant_id, email_id, kind, detail, at) values (%s, %s, %s, %s, %s) "
            "on conflict do nothing",
            [self._tenant_id, email_id, kind, detail[:2_000].replace("\0", ""), at],
        )
        return result.rowcount == 1


def _email(row: Row) -> Email:
    return Email(
        id=row["id"],
        run_id=row["run_id"],
        step=row["step"],
        contact_id=row["contact_id"],
        draft_id=row["draft_id"],
        sha256=row["sha256"],
        status=EmailStatus(row["status"]),
        lease_until=row["lease_until"],
        provider_message_id=row["provider_message_id"],
        error=row["error"],
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        bounce_type=BounceType(row["bounce_type"]) if row["bounce_type"] else None,
        reply_id=row["reply_id"],
    )
