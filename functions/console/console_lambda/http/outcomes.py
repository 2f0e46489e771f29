"""What became of the emails of a run, person by person."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from console_lambda.http.visitor import Visitor
from email_sender.messaging.reasons import LEFT_OUT

# States after which an email's report can still come.
_OPEN: Final = ("queued", "sending", "sent")
_WORDS: Final[Mapping[str, str]] = {
    "queued": "will be tried again",
    "sending": "being sent",
    "unknown": "perhaps sent",
    "suppressed": "gets no mail",
    "rejected": "not sent",
}
# As many drafts as an approval can have.
_SHOWN: Final = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one email. `state` is a word of the API, and `words` says it to a person."""

    draft_id: str
    contact_id: str
    name: str
    address: str
    state: str
    words: str
    at: str | None
    reason: str


def outcomes_of(visitor: Visitor, run_id: str) -> Sequence[Outcome]:
    """Return the outcomes of the emails that a run has sent or was about to send, the oldest first."""
    emails = list(visitor.api.items("/emails", run_id=run_id, at_most=_SHOWN))[::-1]
    contacts = {one["id"]: one for one in visitor.api.get_by_id("/contacts", [one["contact_id"] for one in emails])}
    return [_outcome(email, contacts.get(email["contact_id"])) for email in emails]


def counts_of(outcomes: Sequence[Outcome]) -> str:
    """Return how many emails are in each state: "2 delivered, 1 left out"."""
    counts = Counter(outcome.words for outcome in sorted(outcomes, key=lambda outcome: outcome.state == "left_out"))
    return ", ".join(f"{count} {words}" for words, count in counts.items())


def is_settled(outcomes: Sequence[Outcome]) -> bool:
    return all(outcome.state not in _OPEN for outcome in outcomes)


def _outcome(email: Mapping[str, Any], contact: Mapping[str, Any] | None) -> Outcome:
    reason = email["error"] or ""
    # The API has one word for all that was not sent.
    was_left_out = email["status"] == "rejected" and reason == LEFT_OUT
    words = "left out" if was_left_out else _WORDS.get(email["status"], email["status"])
    address = contact["email"] if contact else ""
    return Outcome(
        email["draft_id"],
        email["contact_id"],
        (contact["name"] or address) if contact else "Deleted contact",
        address,
        "left_out" if was_left_out else email["status"],
        words,
        email["sent_at"] or email["created_at"],
        "" if was_left_out else reason,
    )
