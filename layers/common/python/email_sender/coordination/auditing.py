"""Who did what. An entry is written in the transaction of what it tells of, or before what is in none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`subject` did `action` to `object`. `details` hold no content and no secret."""

    at: datetime
    subject: str
    action: str
    object: str
    details: Mapping[str, Any] = field(default_factory=dict)
