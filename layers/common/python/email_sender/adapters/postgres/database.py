"""Connections and transactions.

An execution environment handles one request at a time, so its pool has one connection. Prepared statements would pin
the connection in RDS Proxy, so they are off (`prepare_threshold=None`).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from threading import Lock
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from email_sender import tracing
from email_sender.adapters.postgres.stale_reads import accepted_age, check_age
from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, Unavailable

Row = DictRow

_admits_suspended: ContextVar[bool] = ContextVar("admits_suspended", default=False)


@contextmanager
def admit_suspended() -> Iterator[None]:
    """Let this block reach suspended tenants: for what a suspension must not take from other people."""
    token = _admits_suspended.set(True)
    try:
        yield
    finally:
        _admits_suspended.reset(token)


Conninfo = Callable[[], str]


class Database:
    """A connection pool for one database role.

    `conninfo` is called for every new connection, because an IAM token is valid for 15 minutes. `reader` is a replica,
    for reads whose caller accepts an age (stale_reads).
    """

    def __init__(
        self, conninfo: Conninfo, *, size: int = 1, timeout: float = 5.0, reader: "Database | None" = None
    ) -> None:
        self._conninfo = conninfo
        self._size = size
        self._reader = reader
        self._timeout = timeout
        self._pool: ConnectionPool[Connection[Row]] | None = None
        self._opening = Lock()

    @property
    def reader(self) -> "Database | None":
        return self._reader

    @contextmanager
    def tenant(self, tenant_id: UUID) -> Iterator[Connection[Row]]:
        """Open a transaction that sees only `tenant_id`. It is rolled back unless the caller commits.

        Raises:
            Forbidden: the tenant is suspended.
        """
        with ExitStack() as transaction:
            conn = self._from_reader(transaction) or transaction.enter_context(self._transaction())
            # For this transaction only, so that a pooled connection never carries a tenant to the next request.
            row = conn.execute("select email_sender.enter_tenant(%s) as suspended_at", [tenant_id]).fetchone()
            if row is not None and row["suspended_at"] is not None and not _admits_suspended.get():
                raise Forbidden("The tenant is suspended. Ask an operator of the platform.")
            yield conn

    @contextmanager
    def platform(self) -> Iterator[Connection[Row]]:
        """Open a transaction without a tenant, for the platform role. It is rolled back unless the caller commits."""
        with self._transaction() as conn:
            yield conn

    def _from_reader(self, transaction: ExitStack) -> Connection[Row] | None:
        """Open a transaction on the reader, if the caller accepts its age and it responds."""
        accepted = accepted_age()
        if self._reader is None or accepted is None:
            return None
        with suppress(Unavailable), ExitStack() as attempt:
            conn = attempt.enter_context(self._reader._transaction())
            check_age(conn, accepted)
            transaction.push(attempt.pop_all())
            return conn
        return None

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @contextmanager
    def _transaction(self) -> Iterator[Connection[Row]]:
        with (
            tracing.span("postgresql transaction", "client", db__system="postgresql"),
            translate_errors(),
            self._open_pool().connection(timeout=self._timeout) as conn,
        ):
            try:
                yield conn
            finally:
                # Discard what was not committed explicitly.
                conn.rollback()

    def _open_pool(self) -> ConnectionPool[Connection[Row]]:
        with self._opening:
            if self._pool is None:
                pool: ConnectionPool[Connection[Row]] = ConnectionPool(
                    self._conninfo,
                    min_size=0,
                    max_size=self._size,
                    num_workers=1,
                    open=False,
                    timeout=self._timeout,
                    # By default the pool pauses longer after each failure, up to minutes: after a failover, functions
                    # would not find the new primary for that long.
                    reconnect_timeout=self._timeout,
                    # The server may have closed the connection while the execution environment was frozen. The check
                    # costs one round trip and finds out before the query does.
                    check=ConnectionPool.check_connection,
                    kwargs={"row_factory": dict_row, "prepare_threshold": None, "connect_timeout": 5},
                )
                pool.open()
                self._pool = pool
            return self._pool


@contextmanager
def translate_errors() -> Iterator[None]:
    """Translate errors of psycopg into domain errors, so that no message of the server reaches a caller."""
    try:
        yield
    except DomainError:
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise Unavailable("The database did not respond.") from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        # During a failover, the address may still lead to a server that is a standby now.
        raise Unavailable("The database accepts no writes at the moment.") from error
    except psycopg.errors.UniqueViolation as error:
        raise Conflict("An object with the same name or id already exists.") from error
    except psycopg.errors.ForeignKeyViolation as error:
        raise Conflict("An object that the request refers to does not exist.") from error
    except psycopg.DataError as error:
        raise InvalidInput("The input contains a value that the database cannot store.") from error
