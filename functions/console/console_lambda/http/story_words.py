"""What the entries of a run's story say to a person."""

from collections.abc import Mapping
from typing import Any, Final

from email_sender.messaging.reasons import LEFT_OUT

_WORDS: Final[Mapping[str, str]] = {
    "draft.made": "draft made",
    "approval.requested": "approval asked for",
    "approval.approved": "approved",
    "approval.denied": "denied",
    "approval.expired": "nobody decided in time",
    "email.claimed": "email taken up",
    "email.sent": "email handed to the mail service",
    "email.suppressed": "no email: the address gets no mail",
    "email.unknown": "email perhaps sent",
    "email.replied": "answer arrived",
    "report.send": "email accepted by the mail service",
    "report.delivery": "email delivered",
    "report.bounce": "email bounced",
    "report.complaint": "the recipient complained",
}


def story_words(entry: Mapping[str, Any]) -> str:
    what = str(entry["what"])
    if what == "email.rejected":
        reason = entry["details"].get("reason") or "not sent"
        return "left out by the approver: no email" if reason == LEFT_OUT else f"email {reason}"
    return _WORDS.get(what, what.replace(".", " ").replace("_", " "))
