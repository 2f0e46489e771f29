"""Who acts in the current request or task, for the audit log.

The audit log needs the subject in every transaction of every service. Authentication and the task handler set it once,
so that no service has to pass it on. It has no part in any decision about rights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Sweeps, consumers of queues and schedules act for nobody.
PLATFORM = "platform"

_subject: ContextVar[str] = ContextVar("acting_subject", default=PLATFORM)


def acting_subject() -> str:
    return _subject.get()


def act_as(subject: str) -> None:
    """Set the subject for the rest of the current asyncio task, which serves one request."""
    _subject.set(subject)


@contextmanager
def acting_as(subject: str) -> Iterator[None]:
    token = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(token)
