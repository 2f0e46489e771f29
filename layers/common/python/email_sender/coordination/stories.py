"""The story of a run or of one email: everything that happened, in order, with who caused it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StoryEntry:
    """`what` is a kind such as "draft.made"; `who` is the person or the part that caused it, None if nobody did."""

    at: datetime
    what: str
    who: str | None
    details: Mapping[str, Any]


class Stories(Protocol):
    """Every method raises NotFound if the tenant has no such run or email."""

    def of_run(self, tenant_id: UUID, run_id: UUID) -> Sequence[StoryEntry]: ...

    def of_email(self, tenant_id: UUID, email_id: UUID) -> Sequence[StoryEntry]: ...
