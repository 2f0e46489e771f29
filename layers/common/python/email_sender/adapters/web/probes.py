"""Probes of dependencies, each with a short timeout of its own."""

from urllib.error import URLError
from urllib.request import urlopen

from email_sender.adapters.postgres.database import Database
from email_sender.errors import Unavailable

_SECONDS = 2.0


def probe_postgres(database: Database) -> None:
    with database.platform() as conn:
        conn.execute("select 1")


def probe_http(url: str, name: str = "The health endpoint") -> None:
    """Return if `url` responds with a 2xx status. `url` comes from the settings, never from a request.

    The error names what does not respond: `name`.
    """
    try:
        with urlopen(url, timeout=_SECONDS):  # noqa: S310  # see above
            return
    except (URLError, TimeoutError, OSError) as error:
        raise Unavailable(f"{name} did not respond.") from error
