"""Quotas in PostgreSQL: counted in the transaction of what is used. Implements security.quotas.QuotaStore."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from psycopg import Connection

from email_sender.adapters.postgres.audit import add_entry
from email_sender.adapters.postgres.database import Database, Row
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT, Event
from email_sender.errors import NotFound
from email_sender.security.acting import acting_subject
from email_sender.security.quotas import DEFAULTS, QuotaKind, refusal

if TYPE_CHECKING:
    from email_sender.adapters.postgres.unit_of_work import Unit

# The day of what is not counted by the day.
_ALWAYS = date(1970, 1, 1)
_ALLOWED = """
coalesce((select allowed from tenant_quotas where tenant_id = %(tenant)s and kind = %(kind)s), %(default)s::bigint)
"""
_TODAY = "(now() at time zone 'utc')::date"
# One round trip: no row, if it would be more than is allowed.
_SPEND = f"""
insert into quota_use as q (tenant_id, kind, day, used)
select %(tenant)s, %(kind)s, {_TODAY}, %(amount)s where %(amount)s <= {_ALLOWED}
on conflict (tenant_id, kind, day) do update set used = q.used + excluded.used
where q.used + excluded.used <= {_ALLOWED}
returning used
"""
_CORRECT = """
update quota_use set used = greatest(0, used + %s)
where tenant_id = %s and kind = %s and day = (now() at time zone 'utc')::date
"""
_USED = """
select kind, used from quota_use where tenant_id = %s and day in ((now() at time zone 'utc')::date, '1970-01-01')
"""
_RECORD_COUNT = """
insert into quota_use (tenant_id, kind, day, used) values (%s, 'stored_vectors', %s, %s)
on conflict (tenant_id, kind, day) do update set used = excluded.used
"""
_EXISTS = "select 1 from tenants where id = %s and kind = 'customer' and deleted_at is null"
_SET = """
insert into tenant_quotas (tenant_id, kind, allowed) values (%s, %s, %s)
on conflict (tenant_id, kind) do update set allowed = excluded.allowed
"""


def spend(unit: "Unit", kind: QuotaKind, amount: int) -> None:
    """Count in the unit's transaction. If it is too much, the transaction is abandoned.

    Raises:
        QuotaExceeded: `quota.exceeded` was emitted, unless it was before on this day.
    """
    parameters = {"tenant": unit.tenant_id, "kind": kind, "amount": amount, "default": DEFAULTS[kind]}
    if unit.conn.execute(_SPEND, parameters).fetchone() is None:
        _refuse(unit, kind, parameters)


def correct(unit: "Unit", kind: QuotaKind, difference: int) -> None:
    """Add what was used in addition to what was counted before; negative, if it was less.

    After midnight it changes the new day, but never to less than nothing.
    """
    unit.conn.execute(_CORRECT, [difference, unit.tenant_id, kind])


def check_stored_vectors(unit: "Unit", stored: int, added: int) -> int:
    """Record how many vectors the tenant has, and return how many it may have.

    Raises:
        QuotaExceeded: with `added` more, it would have too many.
    """
    unit.conn.execute(_RECORD_COUNT, [unit.tenant_id, _ALWAYS, stored])
    kind = QuotaKind.STORED_VECTORS
    parameters = {"tenant": unit.tenant_id, "kind": kind, "default": DEFAULTS[kind]}
    allowed = _read_allowed(unit.conn, parameters)
    if stored + added > allowed:
        _refuse(unit, kind, parameters)
    return allowed


def _refuse(unit: "Unit", kind: QuotaKind, parameters: Mapping[str, Any]) -> None:
    unit.abandon()
    allowed = _read_allowed(unit.conn, parameters)
    row = unit.conn.execute("select now() as now").fetchone()
    now: datetime = row["now"] if row else datetime.now().astimezone()
    # Once a day: an event that the outbox has is not emitted again.
    event_id = uuid5(NAMESPACE_URL, f"quota/{unit.tenant_id}/{kind}/{now:%Y-%m-%d}")
    unit.emit_once(
        Event(
            id=event_id,
            type="quota.exceeded",
            area="security",
            tenant_id=unit.tenant_id,
            aggregate_id=str(unit.tenant_id),
            occurred_at=now,
            data={"quota": str(kind), "allowed": allowed},
            correlation_id=None,
            priority=2,
        )
    )
    unit.commit()
    raise refusal(kind, allowed, now)


def _read_allowed(conn: Connection[Row], parameters: Mapping[str, Any]) -> int:
    row = conn.execute(f"select {_ALLOWED} as allowed", parameters).fetchone()
    return int(row["allowed"]) if row else 0


class PostgresQuotas:
    """For the platform role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def allowed(self, tenant_id: UUID) -> Mapping[QuotaKind, int]:
        with self._database.platform() as conn:
            _require_tenant(conn, tenant_id)
            rows = conn.execute("select kind, allowed from tenant_quotas where tenant_id = %s", [tenant_id]).fetchall()
        return {QuotaKind(row["kind"]): row["allowed"] for row in rows}

    def used(self, tenant_id: UUID) -> Mapping[QuotaKind, int]:
        with self._database.platform() as conn:
            rows = conn.execute(_USED, [tenant_id]).fetchall()
        return {QuotaKind(row["kind"]): row["used"] for row in rows}

    def set_allowed(self, tenant_id: UUID, kind: QuotaKind, allowed: int | None, at: datetime) -> None:
        with self._database.platform() as conn:
            _require_tenant(conn, tenant_id)
            if allowed is None:
                conn.execute("delete from tenant_quotas where tenant_id = %s and kind = %s", [tenant_id, kind])
            else:
                conn.execute(_SET, [tenant_id, kind, allowed])
            details = {"quota": str(kind), "allowed": allowed}
            entry = AuditEntry(at, acting_subject(), "tenant.quota_changed", str(tenant_id), details)
            add_entry(conn, PLATFORM_TENANT, entry)
            conn.commit()


def _require_tenant(conn: Connection[Row], tenant_id: UUID) -> None:
    if conn.execute(_EXISTS, [tenant_id]).fetchone() is None:
        raise NotFound("Tenant not found.")
