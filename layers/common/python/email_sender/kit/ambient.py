"""The real time and real ids, for composition roots."""

from datetime import UTC, datetime
from uuid import UUID

from uuid6 import uuid7


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> UUID:
    return UUID(bytes=uuid7().bytes)
