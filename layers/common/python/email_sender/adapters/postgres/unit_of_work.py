"""The unit of work: the changes of one transaction and the events about them.

All changes that a service makes for a tenant go through a unit, so that a change and its event are written together or
not at all, and nothing is stored without an explicit commit.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender import tracing
from email_sender.adapters.aws.eventbridge import encode_detail
from email_sender.adapters.documents import event_schemas
from email_sender.adapters.postgres import quotas
from email_sender.adapters.postgres.audit import add_entry
from email_sender.adapters.postgres.database import Database, Row
from email_sender.coordination.audit import AUDITED_EVENTS, AuditEntry
from email_sender.coordination.events import MAX_EVENT_BYTES, Bus, BusEntry, Event
from email_sender.errors import PayloadTooLarge, Unavailable
from email_sender.security.acting import acting_subject
from email_sender.security.quotas import QuotaKind

_log = logging.getLogger(__name__)

_ADD = """
insert into outbox (id, tenant_id, source, type, detail) values (%s, %s, %s, %s, %s)
on conflict (id) do nothing returning sequence
"""


_IS_KNOWN = "select 1 from events where id = %s and occurred_at > now() - interval '2 days'"


class Unit:
    """A transaction of a tenant. Stores use `conn` and `tenant_id`; services call `emit`, `audit` and `commit`."""

    def __init__(self, conn: Connection[Row], tenant_id: UUID, bus: Bus | None) -> None:
        self.conn = conn
        self.tenant_id = tenant_id
        self._bus = bus
        self._pending: list[BusEntry] = []
        self._audited: list[AuditEntry] = []

    def emit(self, event: Event) -> None:
        """Write the event to the outbox in this transaction. An event that the outbox already has is ignored.

        Raises:
            PayloadTooLarge: the event is larger than the bus accepts.
            InvalidInput: the event does not match its schema. This is a bug, found before the event is published.
        """
        detail: dict[str, Any] = event.detail()
        if (trace := tracing.traceparent()) is not None and event.is_ours:
            detail["traceparent"] = trace
        if len(encode_detail(detail).encode("utf-8", "surrogatepass")) > MAX_EVENT_BYTES:
            raise PayloadTooLarge(
                f"The event is larger than {MAX_EVENT_BYTES} bytes of JSON. Store large data elsewhere and put a "
                "reference to it into the event."
            )
        event_schemas.validate_event(detail, event.type if event.is_ours else "envelope")
        row = self.conn.execute(_ADD, [event.id, event.tenant_id, event.source, event.type, Jsonb(detail)]).fetchone()
        if row is None:
            return
        if event.is_ours and event.type in AUDITED_EVENTS:
            self.audit(event.occurred_at, event.type, event.aggregate_id, event.data)
        self._pending.append(BusEntry(event.source, event.type, encode_detail({**detail, "sequence": row["sequence"]})))

    def emit_once(self, event: Event) -> None:
        """Emit the event unless one with its id was emitted within two days, also if the recorder has stored that."""
        row = self.conn.execute(_IS_KNOWN, [event.id]).fetchone()
        if row is None:
            self.emit(event)

    def spend(self, kind: QuotaKind, amount: int = 1) -> None:
        """Count towards a quota of the tenant, in this transaction.

        Raises:
            QuotaExceeded: it would be more than the tenant may use. Nothing of this transaction was stored.
        """
        quotas.spend(self, kind, amount)

    def abandon(self) -> None:
        """Discard what this transaction changed, and begin another one of the tenant."""
        self.conn.rollback()
        self._pending, self._audited = [], []
        self.conn.execute("select email_sender.enter_tenant(%s)", [self.tenant_id])

    def audit(self, at: datetime, action: str, object_name: str, details: Mapping[str, Any] = {}) -> None:
        """Add an entry to the tenant's audit log in this transaction. The subject is who acts now."""
        self._audited.append(AuditEntry(at, acting_subject(), action, object_name, details))

    def commit(self) -> None:
        """Commit, then send the events to the bus.

        Events that the bus does not accept now are sent by the relay later: the outbox holds them until the recorder
        has stored them.
        """
        # Last, because the chain is locked until the transaction ends: who holds this lock waits for no other.
        for entry in self._audited:
            add_entry(self.conn, self.tenant_id, entry)
        self._audited = []
        self.conn.commit()
        if not self._pending or self._bus is None:
            return
        entries, self._pending = self._pending, []
        try:
            self._bus.put(entries)
        except Unavailable:
            _log.warning("could not send events to the bus; the relay will", extra={"count": len(entries)})


class Units:
    """Opens units of work. `bus` is None for callers whose events the relay may send later."""

    def __init__(self, database: Database, bus: Bus | None) -> None:
        self._database = database
        self._bus = bus

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[Unit]:
        with self._database.tenant(tenant_id) as conn:
            yield Unit(conn, tenant_id, self._bus)
