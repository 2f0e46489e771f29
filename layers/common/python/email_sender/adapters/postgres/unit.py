"""A unit of work: the changes of one transaction and the events that tell of them.

Everything a service changes for a tenant goes through one of these, so that a change and its event are written
together or not at all, and so that nothing is kept without an explicit commit.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters import event_schemas
from email_sender.adapters.eventbridge import encode
from email_sender.adapters.postgres.database import Database, Row
from email_sender.coordination.events import MAX_EVENT_BYTES, Bus, BusEntry, Event
from email_sender.errors import PayloadTooLarge, Unavailable

_log = logging.getLogger(__name__)

_ADD = """
insert into outbox (id, tenant_id, source, type, detail) values (%s, %s, %s, %s, %s)
on conflict (id) do nothing returning sequence
"""


class Unit:
    """Adapters' stores take `conn` and `tenant_id`; services call `emit` and `commit`."""

    def __init__(self, conn: Connection[Row], tenant_id: UUID, bus: Bus | None) -> None:
        self.conn = conn
        self.tenant_id = tenant_id
        self._bus = bus
        self._pending: list[BusEntry] = []

    def emit(self, event: Event) -> None:
        """Write the event to the outbox, in this transaction. One that is there is told already.

        Raises:
            PayloadTooLarge: the bus would not take it.
            InvalidInput: it is not as its schema says; a fault of ours, found before anybody is told.
        """
        detail: dict[str, Any] = event.detail()
        if len(encode(detail).encode("utf-8", "surrogatepass")) > MAX_EVENT_BYTES:
            raise PayloadTooLarge(
                f"An event has at most {MAX_EVENT_BYTES} bytes as JSON: put what is larger where it can be fetched, "
                "and say where."
            )
        event_schemas.check(detail, event.type if event.is_ours else "envelope")
        row = self.conn.execute(_ADD, [event.id, event.tenant_id, event.source, event.type, Jsonb(detail)]).fetchone()
        if row is None:
            return
        self._pending.append(BusEntry(event.source, event.type, encode({**detail, "sequence": row["sequence"]})))

    def commit(self) -> None:
        """Commit, then put the events on the bus.

        What the bus does not take now is put by the relay's sweep, since the outbox keeps it until the recorder has it.
        """
        self.conn.commit()
        if not self._pending or self._bus is None:
            return
        entries, self._pending = self._pending, []
        try:
            self._bus.put(entries)
        except Unavailable:
            _log.warning("events left to the relay", extra={"count": len(entries)})


class Units:
    """Opens units. `bus` is None where the caller publishes nothing right away."""

    def __init__(self, database: Database, bus: Bus | None) -> None:
        self._database = database
        self._bus = bus

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[Unit]:
        with self._database.tenant(tenant_id) as conn:
            yield Unit(conn, tenant_id, self._bus)
