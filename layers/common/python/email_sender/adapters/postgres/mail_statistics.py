"""Counts emails by week and workflow. Implements messaging.statistics.MailStatisticsReader."""

from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.messaging.statistics import MailStatistics, WeekOfWorkflow

_WEEKS = """
with mails as (
    select e.*, date_trunc('week', e.created_at at time zone 'UTC')::date as week from emails e
    where e.created_at >= date_trunc('week', now(), 'UTC') - %(before)s * interval '7 days'
), counted as (
    select m.week, r.workflow_id, 'statuses' as what, m.status as name, count(*) as count
    from mails m left join runs r on r.id = m.run_id group by 1, 2, 4
    union all
    select m.week, r.workflow_id, 'bounces', coalesce(m.bounce_type, 'undetermined'), count(*)
    from mails m left join runs r on r.id = m.run_id where m.status = 'bounced' group by 1, 2, 4
    union all
    select m.week, r.workflow_id, 'replies', a.kind, count(distinct m.id)
    from mails m left join runs r on r.id = m.run_id join messages a on a.answers_email_id = m.id group by 1, 2, 4
)
select c.week, c.workflow_id, coalesce(max(w.name), '') as workflow,
       coalesce(jsonb_object_agg(c.name, c.count) filter (where what = 'statuses'), '{}') as statuses,
       coalesce(jsonb_object_agg(c.name, c.count) filter (where what = 'bounces'), '{}') as bounces,
       coalesce(jsonb_object_agg(c.name, c.count) filter (where what = 'replies'), '{}') as replies
from counted c left join workflows w on w.id = c.workflow_id
group by c.week, c.workflow_id order by c.week desc, workflow
"""
_UNSUBSCRIBED = """
select date_trunc('week', created_at at time zone 'UTC')::date as week, count(*) as count from suppressions
where reason = 'unsubscribed'
  and created_at >= date_trunc('week', now(), 'UTC') - %(before)s * interval '7 days'
group by 1
"""


class PostgresMailStatistics:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, tenant_id: UUID, weeks: int) -> MailStatistics:
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute(_WEEKS, {"before": weeks - 1}).fetchall()
            unsubscribed = conn.execute(_UNSUBSCRIBED, {"before": weeks - 1}).fetchall()
        return MailStatistics(
            [
                WeekOfWorkflow(
                    row["week"], row["workflow_id"], row["workflow"], row["statuses"], row["bounces"], row["replies"]
                )
                for row in rows
            ],
            {row["week"]: row["count"] for row in unsubscribed},
        )
