"""The system clock and the UUIDv7 factory, for composition roots."""

from datetime import UTC, datetime
from uuid import UUID

from uuid6 import uuid7


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """Return a new UUIDv7."""
    return UUID(bytes=uuid7().bytes)
