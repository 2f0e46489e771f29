"""Types of the clock and the id factory that services receive, so that tests can control both."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

type Clock = Callable[[], datetime]
"""Returns the current time as an aware datetime in UTC."""

type IdFactory = Callable[[], UUID]
"""Returns a new UUIDv7 (RFC 9562). Ids sort by the time of their creation."""
