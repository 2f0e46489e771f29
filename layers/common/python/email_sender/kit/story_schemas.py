"""The HTTP schema of stories, which two areas serve."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from email_sender.coordination.stories import StoryEntry


class StoryEntryOut(BaseModel):
    """`who` is the person or the part of the platform that caused it. `details` has ids, hashes and versions."""

    at: datetime
    what: str
    who: str | None
    details: Mapping[str, Any]


class StoryOut(BaseModel):
    """The oldest entry comes first."""

    items: Sequence[StoryEntryOut]

    @classmethod
    def of(cls, entries: Sequence[StoryEntry]) -> Self:
        return cls(items=[StoryEntryOut(at=e.at, what=e.what, who=e.who, details=e.details) for e in entries])
