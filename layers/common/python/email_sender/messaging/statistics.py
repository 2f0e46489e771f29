"""How the mail of a tenant fared, by week and workflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class WeekOfWorkflow:
    """The emails that a workflow created in the week that begins on `week`, a Monday (UTC).

    `statuses` counts them by status, `bounces` the bounced ones by kind, and `replies` the answers by class of message.
    """

    week: date
    workflow_id: UUID | None
    workflow: str
    statuses: Mapping[str, int]
    bounces: Mapping[str, int]
    replies: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MailStatistics:
    """`unsubscribed` counts the addresses that were unsubscribed, by week."""

    weeks: Sequence[WeekOfWorkflow]
    unsubscribed: Mapping[date, int]


class MailStatisticsReader(Protocol):
    def read(self, tenant_id: UUID, weeks: int) -> MailStatistics:
        """Return the statistics of this week and the weeks before it. Raises Unavailable."""
        ...
