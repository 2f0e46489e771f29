"""Event publishers that repeat each transaction until it is acknowledged."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from email_sender.adapters.aws.eventbridge import EventBridgeBus
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.coordination.events import Event
from email_sender.errors import Unavailable
from email_sender.kit.system_clock import new_id
from local.client import wait_until
from local.database import TENANTS
from tests.conftest import Platform

# EVENTS=10000 KILLS=20 is the full measurement (docs/benchmarks.md).
EVENTS = int(os.environ.get("EVENTS", "900"))
KILLS = int(os.environ.get("KILLS", "0"))
_BATCH = 10
_PUBLISHERS = 3


class EventStream:
    """Publish events of one type from three threads, ten in a transaction, until all are acknowledged.

    Set `platform` to a restarted platform to look for the events there.
    """

    def __init__(self, platform: Platform, number: int = EVENTS, pause: float = 0.0) -> None:
        self.kind = f"Stream{uuid4().hex[:8]}"
        self.acknowledged: list[UUID] = []
        self.unexpected_errors: list[str] = []
        self.platform, self._pause = platform, pause
        share = number // _PUBLISHERS // _BATCH
        self._threads = [threading.Thread(target=self._publish, args=(share,)) for _ in range(_PUBLISHERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(600)

    def count_recorded(self) -> Counter[UUID]:
        """Count the recorded events by id. Return an empty counter while PostgreSQL restarts."""
        try:
            rows = self.platform.query("select id from email_sender.events where type = %s", self.kind)
        except psycopg.OperationalError:
            return Counter()
        return Counter(row["id"] for row in rows)

    def _publish(self, transactions: int) -> None:
        secret = self.platform.cloud.layout.secret("app.password")
        database = Database(
            lambda: make_conninfo(self.platform.cloud.database_url, user="app", password=secret), timeout=2.0
        )
        bus = EventBridgeBus(lambda: self.platform.aws("events"), self.platform.cloud.outputs["BusName"])
        units = Units(database, bus)
        for _ in range(transactions):
            events = [self._event() for _ in range(_BATCH)]
            retry_until_done(lambda: _commit_events(units, events), self.unexpected_errors)  # noqa: B023
            self.acknowledged += [event.id for event in events]
            time.sleep(self._pause)
        database.close()

    def _event(self) -> Event:
        tenant = TENANTS[0].id
        event_id = new_id()
        return Event(event_id, self.kind, "tenant", tenant, str(event_id), datetime.now(UTC), application="stream")


def _commit_events(units: Units, events: Sequence[Event]) -> None:
    with units(events[0].tenant_id) as unit:
        for event in events:
            unit.emit(event)
        unit.commit()


def retry_until_done(work: Callable[[], Any], errors: list[str]) -> None:
    """Repeat `work` while the platform is unavailable, as a client does. Collect other errors."""
    for _ in range(1_000):
        try:
            work()
        except Unavailable:
            time.sleep(0.2)
        except Exception as error:  # the test reports it
            errors.append(repr(error))
            return
        else:
            return
    errors.append("never acknowledged")


def assert_stored_once(stream: EventStream, seconds: float) -> None:
    wait_until(lambda: len(stream.count_recorded()), lambda count: count >= len(stream.acknowledged), seconds)
    assert stream.unexpected_errors == []
    assert stream.count_recorded() == Counter(stream.acknowledged)


class ForeignEventStream:
    """Put another system's events on the bus from three threads."""

    def __init__(self, platform: Platform, number: int) -> None:
        self.kind = f"Foreign{uuid4().hex[:8]}"
        self.published_ids: list[str] = []
        self._platform, self._number = platform, number

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._publish) for _ in range(_PUBLISHERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(300)

    def count_recorded(self) -> Counter[str]:
        """Count the recorded events by id. Return an empty counter while PostgreSQL restarts."""
        try:
            rows = self._platform.query("select payload->>'n' as n from email_sender.events where type = %s", self.kind)
        except psycopg.OperationalError:
            return Counter()
        return Counter(row["n"] for row in rows)

    def _publish(self) -> None:
        client, bus = self._platform.aws("events"), self._platform.cloud.outputs["BusName"]
        for _ in range(self._number // _PUBLISHERS // _BATCH):
            names = [uuid4().hex for _ in range(_BATCH)]
            entries = [
                {"EventBusName": bus, "Source": "erp", "DetailType": self.kind, "Detail": json.dumps({"n": name})}
                for name in names
            ]
            assert client.put_events(Entries=entries)["FailedEntryCount"] == 0
            self.published_ids += names
