"""The recorder against COPY of the same rows; a change's event on the bus against PutEvents alone."""

import json
import os
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from benchmarks.stage import Context, silence
from email_sender.adapters.eventbridge import EventBridgeBus
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.events import PostgresEventLog
from email_sender.adapters.postgres.unit import Units
from email_sender.coordination.events import BusEntry, Event
from email_sender.coordination.recording import Recorder
from email_sender.kit.ambient import new_id, now
from local.aws.deploy import session
from local.database import DATABASE, TENANTS, prepare
from local.ports import pick
from local.postgres import HOST, Postgres
from local.processes import Spec, Supervisor

_BATCH = 1_000
_RUNS = 11
_CHANGES = 200
_TENANT: UUID = TENANTS[0].id


def measure(scratch: Path) -> list[dict[str, Any]]:
    with _database(scratch) as (owner, platform, app):
        outbox = _outbox(scratch, app)
        owner.execute("delete from outbox")
        handle = _handler(platform)
        ours, theirs = [], []
        for _ in range(_RUNS + 1):
            events, others = _events(), _events()
            _announce(owner, events)
            queued = _queued(events)
            ours.append(_seconds(handle, queued))
            theirs.append(_seconds(_copy, owner, others))
        counted = owner.execute("select count(*) from events").fetchone()
        if counted is None or counted[0] != 2 * _BATCH * (_RUNS + 1):
            raise RuntimeError("events are missing")
    # The first of each opens its connection.
    rate, copied = (_BATCH / statistics.median(each[1:]) for each in (ours, theirs))
    return [
        {"measure": f"recorder: events stored, batches of {_BATCH:,}", "value": rate, "unit": "events/s",
         "compared_with": "COPY of the same rows", "compared_value": copied, "at_least": 0.4, "runs": _RUNS},
        outbox,
    ]  # fmt: skip


def _outbox(scratch: Path, app: Database) -> dict[str, Any]:
    """A transaction with one event, and the event on the bus; in turns with PutEvents of the same entry."""
    with _bus(scratch) as bus:
        units = Units(app, bus)
        ours, theirs = [], []
        for event in _events()[: _CHANGES + 10]:
            ours.append(_seconds(_change, units, event))
            entry = BusEntry(event.source, event.type, json.dumps(event.detail()))
            theirs.append(_seconds(bus.put, [entry]))
    # The first of each open connections.
    change, put = (statistics.median(each[10:]) * 1_000 for each in (ours, theirs))
    return {
        "measure": "outbox: a change, committed and on the bus, p50", "value": change, "unit": "ms",
        "compared_with": "PutEvents alone", "compared_value": put, "at_most": 2.0, "runs": _CHANGES,
    }  # fmt: skip


def _change(units: Units, event: Event) -> None:
    with units(event.tenant_id) as unit:
        unit.emit(event)
        unit.commit()


@contextmanager
def _bus(scratch: Path) -> Iterator[EventBridgeBus]:
    """On the emulator, which is what is local; on AWS PutEvents takes some ten milliseconds more, of both."""
    port = pick("aws", 35466, print)
    argv = [sys.executable, "-m", "local.aws", "--port", str(port), "--api-port", str(pick("api", 35480, print))]
    argv += ["--state", str(scratch / "aws"), "--smtp", f"{HOST}:1", "--log", str(scratch / "aws.log")]
    with Supervisor() as supervisor:
        supervisor.start(Spec("aws", argv, scratch / "aws.out.log", environment=dict(os.environ)))
        client = session(f"http://{HOST}:{port}")("events")
        client.create_event_bus(Name="bench")
        yield EventBridgeBus(lambda: client, "bench")


@contextmanager
def _database(scratch: Path) -> Iterator[tuple[psycopg.Connection[Any], Database, Database]]:
    server = Postgres(scratch / "postgres", pick("postgres", 35432, print))
    server.prepare()
    passwords = {role: secrets.token_urlsafe(16) for role in ("app", "platform")}
    with Supervisor() as supervisor:
        supervisor.start(server.spec())
        prepare(server, passwords)
        app, platform = (_of_role(server, role, password) for role, password in passwords.items())
        with psycopg.connect(
            server.url(DATABASE), autocommit=True, options="-c search_path=email_sender,public"
        ) as owner:
            yield owner, platform, app
        platform.close()
        app.close()


def _of_role(server: Postgres, role: str, password: str) -> Database:
    return Database(lambda: f"host={HOST} port={server.port} dbname={DATABASE} user={role} password={password}")


def _handler(platform: Database) -> Callable[[dict[str, Any]], None]:
    """The whole handler, as Lambda calls it; its log lines go nowhere."""
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
    import coordinator.bootstrap

    recorder = Recorder(PostgresEventLog(platform))
    # Before the handler is imported, which takes it from there.
    coordinator.bootstrap.recorder = lambda: recorder  # type: ignore[assignment]  # it is cached, this is not
    from coordinator.recorder import handler

    def handle(batch: dict[str, Any]) -> None:
        with silence():
            answer = handler(batch, Context())  # type: ignore[arg-type]  # what it reads of it is there
        if answer["batchItemFailures"]:
            raise RuntimeError("events were not recorded")

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


def _announce(owner: psycopg.Connection[Any], events: Sequence[Event]) -> None:
    with owner.cursor() as cursor, cursor.copy("copy outbox (id, tenant_id, source, type, detail) from stdin") as copy:
        for each in events:
            copy.write_row([each.id, each.tenant_id, each.source, each.type, json.dumps(each.detail())])


def _copy(owner: psycopg.Connection[Any], events: Sequence[Event]) -> None:
    columns = "id, type, payload, source, tenant_id, aggregate_id, sequence, occurred_at, correlation_id, causation_id"
    with owner.cursor() as cursor, cursor.copy(f"copy events ({columns}) from stdin") as copy:
        for number, each in enumerate(events):
            payload = json.dumps(each.detail())
            copy.write_row(
                [
                    each.id,
                    each.type,
                    payload,
                    each.source,
                    each.tenant_id,
                    each.aggregate_id,
                    number,
                    each.occurred_at,
                    each.correlation_id,
                    each.causation_id,
                ]
            )


def _queued(events: Sequence[Event]) -> dict[str, Any]:
    """As SQS gives them, each in EventBridge's envelope."""
    return {
        "Records": [
            {
                "messageId": str(each.id),
                "body": json.dumps(
                    {
                        "version": "0",
                        "id": str(new_id()),
                        "detail-type": each.type,
                        "source": each.source,
                        "account": "000000000000",
                        "time": each.occurred_at.isoformat(),
                        "region": "us-east-1",
                        "resources": [],
                        "detail": each.detail(),
                    }
                ),
            }
            for each in events
        ]
    }


def _seconds[**P](work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> float:
    started = time.perf_counter()
    work(*args, **kwargs)
    return time.perf_counter() - started
