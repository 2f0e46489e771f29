"""The manager gate of an execution environment, on its own connection pool."""

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.managers import StoppedManagers
from email_sender.coordination.manager_gate import ManagerGate


def manager_gate(database: Database) -> ManagerGate:
    return ManagerGate(StoppedManagers(database))
