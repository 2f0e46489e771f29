"""Reads that may be some seconds old, and therefore can use the database's reader.

A caller accepts an age for the reads of one request. A read from the reader notes how old it was. Without an accepted
age, every read uses the primary and sees all writes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import DictRow

from email_sender.errors import Unavailable

# The age is that of the last transaction that the reader has replayed. If nobody writes, it grows although nothing is
# missing: the read then uses the primary, which has little to do. A server that is no standby has everything.
_AGE = """
select case when pg_is_in_recovery()
    then coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 'infinity') else 0
end::float8 as age
"""


@dataclass(slots=True)
class AcceptedAge:
    """The age in seconds that a caller accepts, and the highest age of what was read. None: nothing was stale."""

    seconds: float
    read: float | None = None


_accepted: ContextVar[AcceptedAge | None] = ContextVar("accepted_age", default=None)


class TooOld(Unavailable):
    """The reader is further behind than the caller accepts."""


@contextmanager
def accept(seconds: float) -> Iterator[AcceptedAge]:
    """Let the reads of this block be up to `seconds` old."""
    accepted = AcceptedAge(seconds)
    token = _accepted.set(accepted)
    try:
        yield accepted
    finally:
        _accepted.reset(token)


def accepted_age() -> AcceptedAge | None:
    return _accepted.get()


def check_age(conn: Connection[DictRow], accepted: AcceptedAge) -> None:
    """Raise TooOld if the server of this connection is too far behind. Otherwise note the age."""
    row = conn.execute(_AGE).fetchone()
    age = float(row["age"]) if row else float("inf")
    if age > accepted.seconds:
        raise TooOld("The reader is too far behind.")
    accepted.read = max(accepted.read or 0.0, age)
