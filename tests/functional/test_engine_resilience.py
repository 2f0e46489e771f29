"""The channel to the vector engine while the engine is killed, paused and restarted."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.errors import InvalidInput, NotFound, Unavailable
from email_sender.vectors.model import Collection, Distance, Nearest, Point, Search
from local.layout import ROOT
from local.ports import pick_port

pytestmark = [pytest.mark.needs_engine, pytest.mark.kills]

SIZE = 16
COLLECTION_NAME = "kept"
TENANT = UUID(int=1)
# States that the circuit breaker reported.
BREAKER_STATES: list[str] = []


class EngineProcess:
    """The local engine in a process of its own, on ports that stay the same after a restart."""

    def __init__(self, folder: Path) -> None:
        self.port = pick_port("grpc", 31334, print)
        self._argv = [sys.executable, "-m", "local.qdrant", "--data", str(folder / "data")]
        self._argv += ["--grpc-port", str(self.port), "--http-port", str(pick_port("http", 31433, print))]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def exit_status(self) -> int | None:
        """None while the process runs."""
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class ShiftedClock:
    """A monotonic clock that a test can move forward."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.offset


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    process = EngineProcess(tmp_path)
    yield process
    process.kill()


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
def channel(engine: EngineProcess, clock: ShiftedClock) -> Iterator[Channel]:
    new_channel = Channel(
        Address("127.0.0.1", engine.port, tls=False), now=clock, on_state_change=BREAKER_STATES.append
    )
    BREAKER_STATES.clear()
    yield new_channel
    new_channel.close()


@pytest.fixture
def index(channel: Channel) -> QdrantIndex:
    new_index = QdrantIndex(lambda: channel)
    new_index.prepare(Collection(COLLECTION_NAME, SIZE, Distance.COSINE, quantized=False))
    return new_index


def vector(number: int) -> list[float]:
    return [1.0 + number % 7, *[0.5] * (SIZE - 1)]


def test_a_refusal_does_not_open_the_circuit_breaker(index: QdrantIndex, channel: Channel) -> None:
    for _ in range(20):
        with pytest.raises(InvalidInput, match="expected dim"):
            index.search(TENANT, COLLECTION_NAME, Search(Nearest([1.0])))
        with pytest.raises(NotFound):
            index.search(TENANT, "nowhere", Search(Nearest(vector(1))))
    assert channel.state == "closed"


def test_a_dead_node_is_passed_over(engine: EngineProcess, index: QdrantIndex) -> None:
    """Nothing listens at the first two addresses."""
    several = Channel(Address("127.0.0.3, 127.0.0.2,127.0.0.1", engine.port, tls=False))
    own_index = QdrantIndex(lambda: several)
    started = time.monotonic()
    own_index.upsert(TENANT, COLLECTION_NAME, [Point(uuid4(), vector(1), {})])
    assert len(own_index.search(TENANT, COLLECTION_NAME, Search(Nearest(vector(1))))) == 1
    assert time.monotonic() - started < 20
    several.close()


def test_calls_to_a_dead_engine_stop_after_a_few_failures_until_it_recovers(
    engine: EngineProcess, index: QdrantIndex, channel: Channel
) -> None:
    engine.kill()
    for _ in range(5):
        with pytest.raises(Unavailable):
            index.count(TENANT, COLLECTION_NAME)
    assert channel.state == "open"
    assert BREAKER_STATES == ["open"]
    started_at = time.perf_counter()
    with pytest.raises(Unavailable) as error:
        index.count(TENANT, COLLECTION_NAME)
    # The engine was not called: a call would have taken until its deadline.
    assert time.perf_counter() - started_at < 2
    assert error.value.retry_after >= 1
    engine.start()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            assert index.count(TENANT, COLLECTION_NAME) == 0
            break
        except Unavailable:
            time.sleep(0.2)
    assert channel.state == "closed"


def test_a_restart_between_two_calls_goes_unnoticed(engine: EngineProcess, index: QdrantIndex) -> None:
    index.upsert(TENANT, COLLECTION_NAME, [Point(1, vector(1))])
    for _ in range(3):
        engine.kill()
        engine.start()
        _eventually(lambda: index.count(TENANT, COLLECTION_NAME) == 1)


def test_a_call_to_a_paused_engine_ends_at_its_deadline(engine: EngineProcess, index: QdrantIndex) -> None:
    engine.signal(signal.SIGSTOP)
    try:
        started_at = time.perf_counter()
        with pytest.raises(Unavailable):
            index.search(TENANT, COLLECTION_NAME, Search(Nearest(vector(1))))
        assert time.perf_counter() - started_at < 20
    finally:
        engine.signal(signal.SIGCONT)
    _eventually(lambda: index.search(TENANT, COLLECTION_NAME, Search(Nearest(vector(1)))) == [])


def test_a_dead_connection_is_detected_within_two_seconds_after_a_freeze(
    engine: EngineProcess, index: QdrantIndex, clock: ShiftedClock
) -> None:
    index.count(TENANT, COLLECTION_NAME)
    engine.kill()
    engine.start()
    clock.offset += 3600
    started_at = time.perf_counter()
    assert index.count(TENANT, COLLECTION_NAME) == 0
    assert time.perf_counter() - started_at < 2


def test_a_kill_during_writes_loses_no_acknowledged_point(engine: EngineProcess, index: QdrantIndex) -> None:
    acknowledged_ids: set[UUID] = set()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            points = [Point(uuid4(), vector(number)) for number in range(20)]
            try:
                index.upsert(TENANT, COLLECTION_NAME, points)
            except Unavailable:
                time.sleep(0.05)
            else:
                acknowledged_ids.update(point.id for point in points if isinstance(point.id, UUID))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for pause in (0.3, 0.7, 0.5):
            before = len(acknowledged_ids)
            _eventually(lambda: len(acknowledged_ids) > before)  # noqa: B023
            time.sleep(pause)
            engine.kill()
            engine.start()
    finally:
        stop.set()
        writer.join()
    _eventually(lambda: index.count(TENANT, COLLECTION_NAME) >= len(acknowledged_ids))
    assert len(acknowledged_ids) > 100
    lost_ids = [point_id for point_id in sorted(acknowledged_ids) if not index.has(TENANT, COLLECTION_NAME, point_id)]
    assert lost_ids == []


def _eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(Unavailable):
            if condition():
                return
        assert time.monotonic() < deadline, "the condition did not hold within 20 s"
        time.sleep(0.1)
