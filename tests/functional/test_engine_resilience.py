"""The channel to the engine while the engine is killed, paused and started again."""

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
from email_sender.adapters.qdrant.index import QdrantIndex
from email_sender.errors import InvalidInput, NotFound, Unavailable
from email_sender.vectors.model import Collection, Distance, Nearest, Point, Search
from local.layout import ROOT
from local.ports import pick

SIZE = 16
NAME = "kept"
TENANT = UUID(int=1)
# What the breaker told of.
STATES: list[str] = []


class Engine:
    """The local engine as a process of the test's own, on ports that stay."""

    def __init__(self, folder: Path) -> None:
        self.port = pick("grpc", 47334, print)
        self._argv = [sys.executable, "-m", "local.qdrant", "--data", str(folder / "data")]
        self._argv += ["--grpc-port", str(self.port), "--http-port", str(pick("http", 47333, print))]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def channel(engine: Engine, clock: Clock) -> Iterator[Channel]:
    made = Channel(Address("127.0.0.1", engine.port, tls=False), now=clock, told=STATES.append)
    STATES.clear()
    yield made
    made.close()


@pytest.fixture
def index(channel: Channel) -> QdrantIndex:
    made = QdrantIndex(lambda: channel)
    made.prepare(Collection(NAME, SIZE, Distance.COSINE, quantized=False))
    return made


def vector(number: int) -> list[float]:
    return [1.0 + number % 7, *[0.5] * (SIZE - 1)]


def test_a_refusal_is_an_answer_and_opens_nothing(index: QdrantIndex, channel: Channel) -> None:
    for _ in range(20):
        with pytest.raises(InvalidInput, match="expected dim"):
            index.search(TENANT, NAME, Search(Nearest([1.0])))
        with pytest.raises(NotFound):
            index.search(TENANT, "nowhere", Search(Nearest(vector(1))))
    assert channel.state == "closed"


def test_a_dead_engine_is_asked_a_few_times_and_then_left_alone_until_it_lives(
    engine: Engine, index: QdrantIndex, channel: Channel
) -> None:
    engine.kill()
    for _ in range(5):
        with pytest.raises(Unavailable):
            index.count(TENANT, NAME)
    assert channel.state == "open"
    assert STATES == ["open"]
    started = time.perf_counter()
    with pytest.raises(Unavailable) as caught:
        index.count(TENANT, NAME)
    # It was not asked: that would have taken its deadline.
    assert time.perf_counter() - started < 0.5
    assert caught.value.retry_after >= 1
    engine.start()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            assert index.count(TENANT, NAME) == 0
            break
        except Unavailable:
            time.sleep(0.2)
    assert channel.state == "closed"


def test_a_restart_between_two_calls_is_not_noticed(engine: Engine, index: QdrantIndex) -> None:
    index.upsert(TENANT, NAME, [Point(1, vector(1))])
    for _ in range(3):
        engine.kill()
        engine.start()
        _eventually(lambda: index.count(TENANT, NAME) == 1)


def test_a_paused_engine_costs_no_more_than_the_deadline(engine: Engine, index: QdrantIndex) -> None:
    engine.signal(signal.SIGSTOP)
    try:
        started = time.perf_counter()
        with pytest.raises(Unavailable):
            index.search(TENANT, NAME, Search(Nearest(vector(1))))
        assert time.perf_counter() - started < 4
    finally:
        engine.signal(signal.SIGCONT)
    _eventually(lambda: index.search(TENANT, NAME, Search(Nearest(vector(1)))) == [])


def test_after_a_thaw_a_dead_connection_is_found_in_half_a_second(
    engine: Engine, index: QdrantIndex, clock: Clock
) -> None:
    index.count(TENANT, NAME)
    engine.kill()
    engine.start()
    clock.ahead += 3600
    started = time.perf_counter()
    assert index.count(TENANT, NAME) == 0
    assert time.perf_counter() - started < 2


def test_killed_while_points_are_written_no_acknowledged_one_is_lost(engine: Engine, index: QdrantIndex) -> None:
    acknowledged: set[UUID] = set()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            points = [Point(uuid4(), vector(number)) for number in range(20)]
            try:
                index.upsert(TENANT, NAME, points)
            except Unavailable:
                time.sleep(0.05)
            else:
                acknowledged.update(point.id for point in points if isinstance(point.id, UUID))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for pause in (0.3, 0.7, 0.5):
            before = len(acknowledged)
            _eventually(lambda: len(acknowledged) > before)  # noqa: B023
            time.sleep(pause)
            engine.kill()
            engine.start()
    finally:
        stop.set()
        writer.join()
    _eventually(lambda: index.count(TENANT, NAME) >= len(acknowledged))
    assert len(acknowledged) > 100
    lost = [each for each in sorted(acknowledged) if not index.has(TENANT, NAME, each)]
    assert lost == []


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(Unavailable):
            if holds():
                return
        assert time.monotonic() < deadline, "it did not come back in 20 s"
        time.sleep(0.1)
