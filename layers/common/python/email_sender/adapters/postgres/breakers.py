"""The states of circuit breakers, for operators: one row per execution environment, written at each change."""

import logging

from email_sender.adapters.postgres.database import Database
from email_sender.errors import Unavailable

_log = logging.getLogger(__name__)


class CircuitBreakerStates:
    def __init__(self, database: Database, dependency: str, environment_id: str) -> None:
        self._database, self._dependency, self._environment_id = database, dependency, environment_id

    def __call__(self, state: str) -> None:
        """Store the state. Never raises, because the caller is handling a failure of its own."""
        _log.warning("circuit breaker %s: %s", self._dependency, state)
        try:
            with self._database.platform() as conn:
                conn.execute(
                    "insert into circuit_breakers (dependency, sandbox, state) values (%s, %s, %s) "
                    "on conflict (dependency, sandbox) do update set state = excluded.state, changed_at = now()",
                    [self._dependency, self._environment_id, state],
                )
                conn.commit()
        except Unavailable:
            _log.warning("could not store the state of a circuit breaker")
        finally:
            # The state changes rarely, so no connection is kept for the next change.
            self._database.close()
