"""What the domain is handed instead of reaching for it: the time and new ids."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

type Now = Callable[[], datetime]
"""The present, aware, in UTC."""

type NewId = Callable[[], UUID]
"""A UUIDv7 (RFC 9562): ids sort by the time they were made."""
