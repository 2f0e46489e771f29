"""The state of the database's replication, seen from its primary and from its reader. For the platform role."""

from dataclasses import dataclass

from email_sender.adapters.postgres.database import Database
from email_sender.errors import Unavailable

# A failover adds one to the timeline, which begins the name of each WAL file. On RDS Multi-AZ, whose standby is a copy
# of the disk, only the time of the start shows it.
_PRIMARY = """
select not in_recovery as accepts_writes,
    case when in_recovery then null else pg_current_wal_lsn()::text end as position,
    case when in_recovery then null
         else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline,
    extract(epoch from now() - pg_postmaster_start_time())::float8 as started_seconds_ago,
    (select count(*) from pg_stat_replication) as standbys
from (select pg_is_in_recovery() as in_recovery)
"""
_READER = """
select greatest(pg_wal_lsn_diff(%(position)s::pg_lsn, pg_last_wal_replay_lsn()), 0)::float8 as behind_bytes,
    coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 0)::float8 as seconds
"""


@dataclass(frozen=True, slots=True)
class ReaderState:
    """How far the reader was behind the primary. `behind_seconds` is 0 if it had replayed everything."""

    behind_bytes: float
    behind_seconds: float


@dataclass(frozen=True, slots=True)
class Replication:
    """`timeline` is None while the database accepts no writes. `reader` is None without a reader, or if it is away."""

    accepts_writes: bool
    timeline: int | None
    started_seconds_ago: float
    standbys: int
    has_reader: bool
    reader: ReaderState | None


def read_replication(database: Database) -> Replication:
    """Return the state of the replication.

    Raises:
        Unavailable: the primary did not respond.
    """
    with database.platform() as conn:
        row = conn.execute(_PRIMARY).fetchone() or {}
    reader = None
    if database.reader is not None and row["position"] is not None:
        reader = _read_reader(database.reader, row["position"])
    return Replication(
        row["accepts_writes"], row["timeline"], row["started_seconds_ago"], row["standbys"],
        database.reader is not None, reader,
    )  # fmt: skip


def _read_reader(reader: Database, position: str) -> ReaderState | None:
    try:
        with reader.platform() as conn:
            row = conn.execute(_READER, {"position": position}).fetchone() or {}
    except Unavailable:
        return None
    behind_bytes = row["behind_bytes"]
    return ReaderState(behind_bytes, row["seconds"] if behind_bytes else 0.0)
