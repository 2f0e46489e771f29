"""Benchmark the recorder against COPY of the same rows, and the outbox against PutEvents alone."""

import json
import os
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from benchmarks.vector_setup import Context, discard_output
from email_sender.adapters.aws.eventbridge import EventBridgeBus
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.event_log import PostgresEventLog
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.coordination.event_recorder import Recorder
from email_sender.coordination.events import BusEntry, Event
from email_sender.kit.system_clock import new_id, now
from local.aws.deploy import client_factory
from local.database import DATABASE, TENANTS, prepare
from local.ports import pick_port
from local.postgres import HOST, Postgres
from local.processes import Spec, Supervisor

_BATCH = 1_000
_RUNS = 11
_CHANGES = 200
_TENANT: UUID = TENANTS[0].id


@dataclass(frozen=True, slots=True)
class RecorderBench:
    """A running PostgreSQL, its owner's connection, and the recorder's handler."""

    owner: psycopg.Connection[Any]
    app: Database
    handle: Callable[[dict[str, Any]], None]

    def run(self, runs: int) -> tuple[list[float], list[float]]:
        """Return the seconds of the recorder and of COPY for batches of 1,000 events, in turns.

        Raises:
            RuntimeError: not every event was stored.
        """
        recorder_seconds, copy_seconds = [], []
        count_before = self._count()
        for _ in range(runs):
            events, copied_events = _events(), _events()
            _fill_outbox(self.owner, events)
            batch = _build_batch(events)
            recorder_seconds.append(_seconds(self.handle, batch))
            copy_seconds.append(_seconds(_copy, self.owner, copied_events))
        if self._count() - count_before != 2 * _BATCH * runs:
            raise RuntimeError("The table `events` lacks events of the benchmark.")
        return recorder_seconds, copy_seconds

    def _count(self) -> int:
        row = self.owner.execute("select count(*) from events").fetchone()
        return int(row[0]) if row else 0


def measure(scratch: Path) -> list[dict[str, Any]]:
    with recorder_bench(scratch) as bench:
        outbox = _outbox(scratch, bench.app)
        bench.owner.execute("delete from outbox")
        recorder_seconds, copy_seconds = bench.run(_RUNS + 1)
    # The first run opens the connections and is left out.
    recorder_rate, copy_rate = (_BATCH / statistics.median(seconds[1:]) for seconds in (recorder_seconds, copy_seconds))
    return [
        {"measure": f"recorder: events stored, batches of {_BATCH:,}", "value": recorder_rate, "unit": "events/s",
         "compared_with": "COPY of the same rows", "compared_value": copy_rate, "at_least": 0.8, "runs": _RUNS},
        outbox,
    ]  # fmt: skip


def _outbox(scratch: Path, app: Database) -> dict[str, Any]:
    """Measure a transaction until its event is on the bus, in turns with PutEvents of the same entry."""
    with _bus(scratch) as bus:
        units = Units(app, bus)
        change_seconds, put_seconds = [], []
        for event in _events()[: _CHANGES + 10]:
            change_seconds.append(_seconds(_change, units, event))
            entry = BusEntry(event.source, event.type, json.dumps(event.detail()))
            put_seconds.append(_seconds(bus.put, [entry]))
    # The first ten runs open connections and are left out.
    change_ms, put_ms = (statistics.median(seconds[10:]) * 1_000 for seconds in (change_seconds, put_seconds))
    return {
        "measure": "outbox: a change, committed and on the bus, p50", "value": change_ms, "unit": "ms",
        "compared_with": "PutEvents alone", "compared_value": put_ms, "at_most": 1.3, "runs": _CHANGES,
    }  # fmt: skip


def _change(units: Units, event: Event) -> None:
    with units(event.tenant_id) as unit:
        unit.emit(event)
        unit.commit()


@contextmanager
def _bus(scratch: Path) -> Iterator[EventBridgeBus]:
    """Yield a bus on the local emulator. On AWS, PutEvents takes about 10 ms longer on both sides of the comparison."""
    port = pick_port("aws", 29632, print)
    argv = [sys.executable, "-m", "local.aws", "--port", str(port), "--api-port", str(pick_port("api", 29732, print))]
    argv += ["--state", str(scratch / "aws"), "--smtp", f"{HOST}:1", "--log", str(scratch / "aws.log")]
    with Supervisor() as supervisor:
        supervisor.start(Spec("aws", argv, scratch / "aws.out.log", environment=dict(os.environ)))
        client = client_factory(f"http://{HOST}:{port}")("events")
        client.create_event_bus(Name="bench")
        yield EventBridgeBus(lambda: client, "bench")


@contextmanager
def recorder_bench(scratch: Path) -> Iterator[RecorderBench]:
    server = Postgres(scratch / "postgres", pick_port("postgres", 29532, print))
    server.prepare()
    passwords = {role: secrets.token_urlsafe(16) for role in ("app", "platform")}
    with Supervisor() as supervisor:
        supervisor.start(server.spec())
        prepare(server, passwords)
        app, platform = (_connect_as(server, role, password) for role, password in passwords.items())
        with psycopg.connect(
            server.url(DATABASE), autocommit=True, options="-c search_path=email_sender,public"
        ) as owner:
            yield RecorderBench(owner, app, _handler(platform))
        platform.close()
        app.close()


def _connect_as(server: Postgres, role: str, password: str) -> Database:
    return Database(lambda: f"host={HOST} port={server.port} dbname={DATABASE} user={role} password={password}")


def _handler(platform: Database) -> Callable[[dict[str, Any]], None]:
    """Return the whole handler, called as Lambda calls it. Its log lines are discarded."""
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")

    import coordinator_lambda.bootstrap

    recorder = Recorder(PostgresEventLog(platform))
    # Replaced before the handler is imported, because the handler reads it from the bootstrap module.
    coordinator_lambda.bootstrap.recorder = lambda: recorder  # type: ignore[assignment]  # the original is cached
    from coordinator_lambda.events.recorder import handler

    def handle(batch: dict[str, Any]) -> None:
        with discard_output():
            response = handler(batch, Context())  # type: ignore[arg-type]  # has every attribute that the handler reads
        if response["batchItemFailures"]:
            raise RuntimeError("The recorder did not record every event.")

    return handle


def _events() -> list[Event]:
    return [
        Event(
            id=new_id(),
            type="vectors.inserted",
            area="vectors",
            tenant_id=_TENANT,
            aggregate_id="document_vectors",
            occurred_at=now(),
            data={"collection": "document_vectors", "count": number + 1},
        )
        for number in range(_BATCH)
    ]


def _fill_outbox(owner: psycopg.Connection[Any], events: Sequence[Event]) -> None:
    with owner.cursor() as cursor, cursor.copy("copy outbox (id, tenant_id, source, type, detail) from stdin") as copy:
        for event in events:
            copy.write_row([event.id, event.tenant_id, event.source, event.type, json.dumps(event.detail())])


def _copy(owner: psycopg.Connection[Any], events: Sequence[Event]) -> None:
    columns = "id, type, payload, source, tenant_id, aggregate_id, sequence, occurred_at, correlation_id, causation_id"
    with owner.cursor() as cursor, cursor.copy(f"copy events ({columns}) from stdin") as copy:
        for number, event in enumerate(events):
            payload = json.dumps(event.detail())
            copy.write_row(
                [
                    event.id,
                    event.type,
                    payload,
                    event.source,
                    event.tenant_id,
                    event.aggregate_id,
                    number,
                    event.occurred_at,
                    event.correlation_id,
                    event.causation_id,
                ]
            )


def _build_batch(events: Sequence[Event]) -> dict[str, Any]:
    """Build an SQS batch with each event in EventBridge's envelope."""
    return {
        "Records": [
            {
                "messageId": str(event.id),
                "body": json.dumps(
                    {
                        "version": "0",
                        "id": str(new_id()),
                        "detail-type": event.type,
                        "source": event.source,
                        "account": "000000000000",
                        "time": event.occurred_at.isoformat(),
                        "region": "us-east-1",
                        "resources": [],
                        "detail": event.detail(),
                    }
                ),
            }
            for event in events
        ]
    }


def _seconds[**P](work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> float:
    started = time.perf_counter()
    work(*args, **kwargs)
    return time.perf_counter() - started
