"""The states of managers, for the platform role, and the list of stopped managers for every function."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.audit import add_entry
from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.unit_of_work import Unit
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT, Bus, Event
from email_sender.coordination.lifecycle import Desired, State, Status, manager_id

# A manager that restarts is included until it runs again.
_STOPPED_AND_LEVEL = """
select coalesce(array_agg(name) filter (where desired <> 'running'), '{}') as stopped,
    max(config->>'log_level') filter (
        where name = 'logging-manager' and (config->>'log_level_until')::timestamptz > now()) as level
from managers
"""


class StoppedManagers:
    """Returns the names of the managers that must not work now, and applies the log level. For the app role.

    `apply_log_level` gets the level that is set for now, or None for the usual one.
    """

    def __init__(self, database: Database, apply_log_level: Callable[[str | None], None] = lambda _level: None) -> None:
        self._database, self._apply_log_level = database, apply_log_level

    def __call__(self) -> Sequence[str]:
        with self._database.platform() as conn:
            row = conn.execute(_STOPPED_AND_LEVEL).fetchone()
        if row is None:
            return []
        self._apply_log_level(row["level"])
        return list(row["stopped"])


class PostgresManagerUnit:
    """Implements coordination.lifecycle.ManagerUnit."""

    def __init__(self, conn: Connection[Row], names: Sequence[str], bus: Bus | None) -> None:
        self._conn, self._names = conn, names
        self._unit = Unit(conn, PLATFORM_TENANT, bus)

    def states(self) -> Mapping[str, State]:
        """Return the state of every manager, and add those without one. Locked until the transaction ends."""
        self._conn.execute(
            "insert into managers (id, name, status) select * from unnest(%s::uuid[], %s::text[], %s::text[]) "
            "on conflict do nothing",
            [[manager_id(name) for name in self._names], list(self._names), [Status.INITIALIZING] * len(self._names)],
        )
        rows = self._conn.execute(
            "select name, status, desired, reason, figures, observed_at, changed_at, changed_by, revision "
            "from managers where name = any(%s) order by name for update",
            [list(self._names)],
        ).fetchall()
        return {row["name"]: _state(row) for row in rows}

    def save(self, states: Sequence[State]) -> None:
        self._conn.execute(
            """
            update managers m set status = s.status, desired = s.desired, reason = s.reason, figures = s.figures,
                observed_at = s.observed_at, changed_at = s.changed_at, changed_by = s.changed_by,
                revision = s.revision, updated_at = now()
            from jsonb_to_recordset(%s::jsonb) as s (
                name text, status text, desired text, reason text, figures jsonb, observed_at timestamptz,
                changed_at timestamptz, changed_by text, revision bigint
            )
            where m.name = s.name
            """,
            [Jsonb([_row(state) for state in states])],
        )

    def emit(self, event: Event) -> None:
        self._unit.emit(event)

    def audit(self, entry: AuditEntry) -> None:
        add_entry(self._conn, PLATFORM_TENANT, entry)

    def commit(self) -> None:
        self._unit.commit()


def manager_units(
    database: Database, names: Sequence[str], bus: Bus | None
) -> Callable[[], AbstractContextManager[PostgresManagerUnit]]:
    @contextmanager
    def open_unit() -> Iterator[PostgresManagerUnit]:
        with database.platform() as conn:
            yield PostgresManagerUnit(conn, names, bus)

    return open_unit


def publish_once_per_version(database: Database, bus: Bus | None, event: Event, version: str) -> bool:
    """Publish the event that this version is ready, once per version. Returns whether it was published now."""
    with database.platform() as conn:
        updated_row = conn.execute(
            "update managers set config = config || jsonb_build_object('ready', %s::text) "
            "where name = 'central-coordinator' and config->>'ready' is distinct from %s returning 1",
            [version, version],
        ).fetchone()
        if updated_row is None:
            return False
        unit = Unit(conn, PLATFORM_TENANT, bus)
        unit.emit(event)
        unit.commit()
    return True


def record_clock_tick(database: Database) -> None:
    """Store the time of the scheduled check."""
    with database.platform() as conn:
        conn.execute("update managers set rang_at = now() where name = 'monitoring-manager'")
        conn.commit()


def _state(row: Row) -> State:
    return State(**{**row, "status": Status(row["status"]), "desired": Desired(row["desired"])})


def _row(state: State) -> dict[str, object]:
    return {
        "name": state.name,
        "status": state.status,
        "desired": state.desired,
        "reason": state.reason,
        "figures": dict(state.figures),
        "observed_at": state.observed_at.isoformat() if state.observed_at else None,
        "changed_at": state.changed_at.isoformat() if state.changed_at else None,
        "changed_by": state.changed_by,
        "revision": state.revision,
    }
