"""What circuit breakers are in, for operators to see: one row a sandbox, written when a state changes."""

import logging

from email_sender.adapters.postgres.database import Database
from email_sender.errors import Unavailable

_log = logging.getLogger(__name__)


class BreakerStates:
    def __init__(self, database: Database, dependency: str, sandbox: str) -> None:
        self._database, self._dependency, self._sandbox = database, dependency, sandbox

    def __call__(self, state: str) -> None:
        """Never raises: whoever calls has a failure of its own to tell of."""
        _log.warning("circuit breaker %s: %s", self._dependency, state)
        try:
            with self._database.platform() as conn:
                conn.execute(
                    "insert into circuit_breakers (dependency, sandbox, state) values (%s, %s, %s) "
                    "on conflict (dependency, sandbox) do update set state = excluded.state, changed_at = now()",
                    [self._dependency, self._sandbox, state],
                )
                conn.commit()
        except Unavailable:
            _log.warning("the state of a circuit breaker was not noted")
        finally:
            # It changes seldom: no connection waits for the next time.
            self._database.close()
