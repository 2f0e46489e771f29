"""Probes of the dependencies, each with a short deadline of its own."""

from urllib.error import URLError
from urllib.request import urlopen

from email_sender.adapters.postgres.database import Database
from email_sender.errors import Unavailable

_SECONDS = 2.0


def postgres(database: Database) -> None:
    with database.platform() as conn:
        conn.execute("select 1")


def http(url: str) -> None:
    """Any 2xx answer will do. `url` is from the settings, never from a request."""
    try:
        with urlopen(url, timeout=_SECONDS):  # noqa: S310  # see above
            return
    except (URLError, TimeoutError, OSError) as error:
        raise Unavailable("It did not answer.") from error
