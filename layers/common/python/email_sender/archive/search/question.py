"""Understand a question: what to embed, and the time that it names."""

from dataclasses import dataclass
from datetime import datetime

from email_sender.archive.search.first_person import first_person
from email_sender.archive.search.languages import is_english
from email_sender.archive.search.periods import Period, find_period

# Longer texts are no questions, and the model reads no more.
_MAX_QUESTION = 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it is searched for. `statement` is what the person sought would write."""

    statement: str
    period: Period | None


def understand(text: str, now: datetime) -> Question:
    """Return the question without a time that is a condition, and with one that may be part of the matter."""
    text = " ".join(text.split())[:_MAX_QUESTION]
    period, rest = find_period(text, now.date())
    about = rest if period and period.is_required else text
    return Question(first_person(about) if is_english(about) else about, period)
