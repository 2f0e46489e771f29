"""The primary dies under load and its standby takes over: functions recover, and no acknowledged write is lost.

The writes go through the platform's own units of work and connection pools, with eight writers that behave like as many
warm functions. DETECTION=60 waits as long before the failover as RDS may; `-o log_cli=true` shows the figures.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import psycopg
import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.coordination.events import Event
from email_sender.errors import Unavailable
from email_sender.kit.system_clock import new_id
from local.database import DATABASE, TENANTS, prepare
from local.postgres import HOST
from local.processes import Supervisor
from tests.failover.database_pair import DatabasePair

pytestmark = [pytest.mark.kills, pytest.mark.timeout(180)]

WRITERS = 8
DETECTION_SECONDS = float(os.environ.get("DETECTION", "1"))
PASSWORDS = {"app": "app-password", "platform": "platform-password", "backup": "backup-password"}
TENANT = TENANTS[0].id


@dataclass
class Writer:
    """One warm function: it writes one event after the other, and remembers which were acknowledged."""

    pair: DatabasePair
    acknowledged: list[tuple[UUID, float]] = field(default_factory=list)
    refused: int = 0
    unexpected: list[BaseException] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        database = Database(
            lambda: (
                f"host={HOST} port={self.pair.endpoint.port} dbname={DATABASE} user=app "
                f"password={PASSWORDS['app']} connect_timeout=2"
            )
        )
        units = Units(database, None)
        while not stop.is_set():
            event = Event(
                new_id(), "vectors.inserted", "vectors", TENANT, "c", datetime.now(UTC), {"collection": "c", "count": 1}
            )
            try:
                with units(TENANT) as unit:
                    unit.emit(event)
                    unit.commit()
            except Unavailable:
                self.refused += 1
                time.sleep(0.05)
            except Exception as error:
                self.unexpected.append(error)
            else:
                self.acknowledged.append((event.id, time.monotonic()))
        database.close()


@pytest.fixture
def pair() -> Iterator[DatabasePair]:
    with TemporaryDirectory(prefix="email-sender-tests-") as folder, Supervisor() as supervisor:
        pair = DatabasePair(Path(folder), supervisor)
        prepare(pair.primary, PASSWORDS)
        pair.add_standby()
        yield pair
        pair.close()


def stored_events(pair: DatabasePair) -> set[UUID]:
    with psycopg.connect(pair.standby.url(DATABASE)) as conn:
        return {row[0] for row in conn.execute("select id from email_sender.outbox").fetchall()}


def test_a_standby_takes_over_without_losing_an_acknowledged_write(pair: DatabasePair) -> None:
    writers, stop = [Writer(pair) for _ in range(WRITERS)], threading.Event()
    threads = [threading.Thread(target=writer.run, args=(stop,)) for writer in writers]
    for thread in threads:
        thread.start()
    time.sleep(2)
    killed_at = time.monotonic()
    pair.kill_primary()
    time.sleep(DETECTION_SECONDS)
    promotion_seconds = pair.fail_over()
    promoted_at = time.monotonic()
    time.sleep(8)
    stop.set()
    for thread in threads:
        thread.join(30)
    acknowledged = [one for writer in writers for one in writer.acknowledged]
    recoveries = [min(at for _, at in writer.acknowledged if at > promoted_at) for writer in writers]
    logging.getLogger(__name__).info(
        f"{len(acknowledged):,} writes acknowledged, {sum(writer.refused for writer in writers)} refused; promoted in "
        f"{promotion_seconds:.2f} s; first write {min(recoveries) - killed_at:.2f} s after "
        f"the loss, all {WRITERS} writers {max(recoveries) - promoted_at:.2f} s after the promotion"
    )
    assert [error for writer in writers for error in writer.unexpected] == []
    assert any(at < killed_at for _, at in acknowledged)
    # A function recovers within 30 s, and the service is back within two minutes.
    assert max(recoveries) - promoted_at < 30
    assert max(recoveries) - killed_at < 120
    lost = {event_id for event_id, _ in acknowledged} - stored_events(pair)
    assert lost == set()
