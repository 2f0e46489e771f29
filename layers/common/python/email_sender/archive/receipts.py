"""What is known of a received mail beside its text: for whom it came, and which checks it failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

# The checks of SES, in the order in which a failure is named.
CHECKS = ("virus", "spam", "dmarc", "spf", "dkim")
# Forwarding breaks SPF and DKIM of good mail, so these alone fail nothing: DMARC needs one of them.
_DECISIVE_CHECKS = ("virus", "spam", "dmarc")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The recipients of the envelope (empty if unknown), and the result of each check: `pass`, `fail`, …"""

    recipients: Sequence[str] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed_check(self) -> str | None:
        """Return the check that the mail failed so that it must start nothing, or None."""
        return next((check for check in _DECISIVE_CHECKS if self.verdicts.get(check) == "fail"), None)


@dataclass(frozen=True, slots=True)
class MailOwners:
    """The tenants that a received mail belongs to. If there is none, `reason` says why."""

    tenants: Sequence[UUID]
    reason: str = ""
