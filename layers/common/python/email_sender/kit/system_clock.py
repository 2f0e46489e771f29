"""The system clock and the UUIDv7 factory, for composition roots."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from uuid6 import uuid7


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def movable_now() -> datetime:
    """Return the time by which mail and workflows go. In the local cloud, `make clock FORWARD=4d` moves it."""
    # Only the local cloud sets the variable.
    path = os.environ.get("LOCAL_CLOCK_FILE")
    if not path:
        return now()
    try:
        return now() + timedelta(seconds=float(Path(path).read_text()))
    except (OSError, ValueError, OverflowError):
        return now()


def new_id() -> UUID:
    """Return a new UUIDv7."""
    return UUID(bytes=uuid7().bytes)
