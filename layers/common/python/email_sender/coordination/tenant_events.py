"""Events that a tenant's own application publishes through the platform."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from email_sender.coordination.events import SOURCE_PREFIX, Event
from email_sender.errors import InvalidInput

_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,199}")
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,127}")
# Only the platform publishes these types, so that no event can be mistaken for the platform's.
_OUR_TYPES = (
    "access.", "approval.", "contact.", "email.", "key.", "manager.", "message.", "quota.", "run.", "system.",
    "tenant.", "vectors.", "workflow.",
)  # fmt: skip


def build_tenant_event(
    event_id: UUID, tenant_id: UUID, source: str, event_type: str, data: Mapping[str, Any], at: datetime,
    correlation_id: str | None = None,
) -> Event:  # fmt: skip
    """Build an event of a tenant's application. Raises InvalidInput for a source or type of the platform or of AWS."""
    if not _SOURCE.fullmatch(source) or source.startswith((SOURCE_PREFIX, "email_sender", "aws.")):
        raise InvalidInput.at("/source", "Use your own source, in lower case, not beginning with email_sender or aws.")
    if not _TYPE.fullmatch(event_type) or event_type.startswith(_OUR_TYPES):
        raise InvalidInput.at("/type", "The type is invalid or reserved for the platform. Choose another type.")
    return Event(
        id=event_id,
        type=event_type,
        area="tenant",
        tenant_id=tenant_id,
        aggregate_id=str(event_id),
        occurred_at=at,
        data=data,
        correlation_id=correlation_id,
        application=source,
    )
