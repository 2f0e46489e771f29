"""The gate of a sandbox, on the sandbox's own pool."""

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.managers import StoppedManagers
from email_sender.coordination.gate import Gate


def gate_of(database: Database) -> Gate:
    return Gate(StoppedManagers(database))
