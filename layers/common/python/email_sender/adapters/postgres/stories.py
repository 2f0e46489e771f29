"""Stories of runs and emails, each read with one statement. Implements coordination.stories.Stories.

The rows hold ids, hashes and versions only; texts and addresses stay encrypted where they are.
"""

from collections.abc import Sequence
from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.coordination.stories import StoryEntry
from email_sender.errors import NotFound

# The rows of one run, or of one email of it. Entries of the same moment keep the order of their causes: `rank`.
_STORY = """
with run as (select * from runs where id = %(run)s),
     mails as (select * from emails where run_id = %(run)s and (%(email)s::uuid is null or id = %(email)s)),
     made as (select * from drafts where run_id = %(run)s
              and (%(email)s::uuid is null or id in (select draft_id from mails)))
select at, what, who, details from (
    select r.created_at as at, 1 as rank, 'run.started' as what, r.started_by as who, jsonb_build_object(
        'run_id', r.id, 'workflow_id', r.workflow_id, 'workflow', w.name, 'version', r.version,
        'published_by', v.published_by, 'role', r.role, 'trigger_id', r.trigger_id) as details
    from run r join workflows w on w.id = r.workflow_id
    join workflow_versions v on v.workflow_id = r.workflow_id and v.version = r.version
  union all
    select coalesce(s.finished_at, s.started_at), 2, 'step.' || s.status, null, jsonb_build_object(
        'step', s.step, 'item', nullif(s.item, -1), 'action', nullif(s.action, ''), 'attempts', s.attempts,
        'started_at', s.started_at, 'error', coalesce(s.error_name, s.error->>'name'))
    from run_steps s
    where s.run_id = %(run)s and (
        %(email)s::uuid is null or s.item = -1
        or exists (select from made d where d.step = s.step and d.item = s.item)
        or exists (select from mails m where s.email_id = m.id or s.result->>'email_id' = m.id::text))
  union all
    select d.created_at, 3, 'draft.made', null, jsonb_build_object(
        'draft_id', d.id, 'contact_id', d.contact_id, 'template_id', d.template_id,
        'template_version', d.template_version, 'sha256', d.sha256, 'evidence', to_jsonb(d.evidence))
    from made d
  union all
    select a.requested_at, 4, 'approval.requested', null, jsonb_build_object(
        'approval_id', a.id, 'step', a.step, 'drafts', a.drafts)
    from approvals a
    where a.run_id = %(run)s and (%(email)s::uuid is null or exists (
        select from made d where a.drafts @> jsonb_build_array(jsonb_build_object('draft_id', d.id))))
  union all
    select a.decided_at, 5, 'approval.' || a.status, a.decided_by, jsonb_build_object(
        'approval_id', a.id, 'role', a.decided_role, 'drafts', a.drafts)
    from approvals a
    where a.run_id = %(run)s and a.decided_at is not null and (%(email)s::uuid is null or exists (
        select from made d where a.drafts @> jsonb_build_array(jsonb_build_object('draft_id', d.id))))
  union all
    select m.created_at, 6, 'email.claimed', null, jsonb_build_object(
        'email_id', m.id, 'contact_id', m.contact_id, 'draft_id', m.draft_id, 'sha256', m.sha256, 'step', m.step)
    from mails m
  union all
    select m.sent_at, 7, 'email.sent', 'ses', jsonb_build_object(
        'email_id', m.id, 'provider_message_id', m.provider_message_id)
    from mails m where m.sent_at is not null
  union all
    select p.at, 8, 'report.' || p.kind,
        case when p.kind = 'send' then 'ses' else 'recipient server' end, jsonb_build_object('email_id', p.email_id)
    from email_reports p join mails m on m.id = p.email_id
  union all
    select m.replied_at, 9, 'email.replied', 'contact', jsonb_build_object(
        'email_id', m.id, 'contact_id', m.contact_id, 'message_id', m.reply_id)
    from mails m where m.replied_at is not null
  union all
    select m.other_replied_at, 9, 'email.replied', 'another person', jsonb_build_object(
        'email_id', m.id, 'message_id', m.other_reply_id)
    from mails m where m.other_replied_at is not null
  union all
    select m.updated_at, 9, 'email.' || m.status, null, jsonb_build_object('email_id', m.id, 'reason', m.error)
    from mails m where m.status in ('rejected', 'suppressed', 'unknown')
  union all
    select r.finished_at, 10, 'run.' || r.status, null, jsonb_build_object(
        'error', coalesce(r.error_name, r.error->>'name'))
    from run r where r.finished_at is not null
) as entries
order by at, rank
"""
_RUN_OF_EMAIL = "select run_id from emails where id = %s"
_RUN = "select id as run_id from runs where id = %s"


class PostgresStories:
    def __init__(self, database: Database) -> None:
        self._database = database

    def of_run(self, tenant_id: UUID, run_id: UUID) -> Sequence[StoryEntry]:
        with self._database.tenant(tenant_id) as conn:
            if conn.execute(_RUN, [run_id]).fetchone() is None:
                raise NotFound("Run not found.")
            rows = conn.execute(_STORY, {"run": run_id, "email": None}).fetchall()
        return [StoryEntry(**row) for row in rows]

    def of_email(self, tenant_id: UUID, email_id: UUID) -> Sequence[StoryEntry]:
        with self._database.tenant(tenant_id) as conn:
            row = conn.execute(_RUN_OF_EMAIL, [email_id]).fetchone()
            if row is None:
                raise NotFound("Email not found.")
            rows = conn.execute(_STORY, {"run": row["run_id"], "email": email_id}).fetchall()
        return [StoryEntry(**row) for row in rows]
