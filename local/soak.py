"""Steady traffic with faults for some hours, and the figures of the dashboard `objectives` afterwards.

    python -m local.soak 2         # `make soak HOURS=2`

It runs in a stage of its own. Every ten minutes a part is killed, each in turn; the supervisor starts it again.
"""

import os
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
from rich.console import Console
from rich.table import Table

from local.client import ApiClient
from local.cloud import LocalCloud
from local.layout import ROOT, ports_above
from local.process_tree import descendants, resident_megabytes
from local.temporary_stage import temporary_stage

HOME = ROOT / ".local/soak"
PORTS = ports_above(14_000)
_FAULT_SECONDS = 600.0
_KILLED_PARTS = ("qdrant", "postgres", "mail_sink")
_SAMPLE_SECONDS = 30.0
_PAUSE_SECONDS = 0.25
_CLIENTS = 3
# The runs that were started last need so long to end.
_LAST_RUNS_SECONDS = 20.0
_SIZE = 768


@dataclass(frozen=True, slots=True)
class Sample:
    """Megabytes of each part at a time in seconds since the start: memory, and the files below `.local`."""

    at: float
    memory: dict[str, float]
    disk: float


@dataclass
class Measurements:
    """What the clients saw. `outages` are the seconds after a kill until every kind of request succeeded again.

    `answers` are the time when each request ended, in seconds of the monotonic clock, and how long it took.
    """

    answers: list[tuple[float, float]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    outages: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    last_failure: float = 0.0


class Client(threading.Thread):
    """One user: searches, inserts, lists, and now and then a run that drafts an email."""

    def __init__(self, sign_in: Callable[[], ApiClient], measurements: Measurements, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._sign_in, self._measurements, self._stop = sign_in, measurements, stop
        self._client = sign_in()
        self._workflow = ""

    def run(self) -> None:
        actions: Sequence[Callable[[], httpx.Response]] = (
            self._search, self._search, self._insert, self._list, self._add_contact, self._start_run,
        )  # fmt: skip
        while not self._stop.is_set():
            self._measure(random.choice(actions))  # noqa: S311 - no secret
            self._stop.wait(_PAUSE_SECONDS)

    def _measure(self, action: Callable[[], httpx.Response]) -> None:
        started = time.monotonic()
        try:
            status = action().status_code
            if status == 401:
                # The access token has expired, after an hour.
                self._client = self._sign_in()
                started = time.monotonic()
                status = action().status_code
        except httpx.HTTPError:
            status = 599
        ended = time.monotonic()
        self._measurements.answers.append((ended, ended - started))
        self._measurements.statuses[status] += 1
        if status >= 500 or status == 401:
            self._measurements.last_failure = time.monotonic()

    def _search(self) -> httpx.Response:
        body = {"collection": "document_vectors", "vector": _vector(), "limit": 5}
        return self._client.http.post("/vectors/search", json=body)

    def _insert(self) -> httpx.Response:
        # The same thousand points, so that only what leaks can grow.
        points = [{"id": random.randrange(1000), "vector": _vector(), "payload": {"n": 1}}]  # noqa: S311
        return self._client.http.post("/vectors/insert", json={"collection": "document_vectors", "points": points})

    def _list(self) -> httpx.Response:
        return self._client.http.get("/contacts", params={"limit": 10})

    def _add_contact(self) -> httpx.Response:
        body = {"email": f"person-{random.randrange(1000)}@people.example", "name": "Ada"}  # noqa: S311
        # A contact that exists is a conflict, which is no failure.
        return self._client.http.post("/contacts", json=body)

    def _start_run(self) -> httpx.Response:
        if not self._workflow:
            definition = {"name": f"w-{uuid4().hex}", "steps": [{"id": "w", "uses": "wait", "with": {"seconds": 1}}]}
            response = self._client.http.post("/workflows", json={"definition": definition})
            if response.is_error:
                return response
            self._workflow = response.json()["id"]
        return self._client.http.post(f"/workflows/{self._workflow}/execute", json={"inputs": {}})


def _vector() -> list[float]:
    return [random.random() for _ in range(_SIZE)]  # noqa: S311 - no secret


def soak(hours: float, console: Console) -> Measurements:
    """Run the traffic, and return what was measured."""
    measurements, stop = Measurements(), threading.Event()
    with temporary_stage(HOME) as layout, LocalCloud(layout, console.print, PORTS, limited=False) as cloud:
        cloud.start()
        user = next(user for user in cloud.users if user.username == "admin@acme")

        def sign_in() -> ApiClient:
            return ApiClient.sign_in(f"{cloud.api_url}/api/v1", user.username, user.password)

        clients = [Client(sign_in, measurements, stop) for _ in range(_CLIENTS)]
        for client in clients:
            client.start()
        try:
            _supervise(cloud, measurements, hours * 3600, console)
        finally:
            stop.set()
        for client in clients:
            client.join(30)
        time.sleep(_LAST_RUNS_SECONDS)
        _count_runs(sign_in(), measurements)
    return measurements


def _supervise(cloud: LocalCloud, measurements: Measurements, seconds: float, console: Console) -> None:
    started, kills, next_kill = time.monotonic(), 0, _FAULT_SECONDS / 2
    while (elapsed := time.monotonic() - started) < seconds:
        sample = Sample(elapsed, _memory(cloud), _disk(HOME))
        measurements.samples.append(sample)
        console.print(
            f"{elapsed / 60:6.1f} min  {sum(measurements.statuses.values())} requests  "
            f"{sum(sample.memory.values()):.0f} MB memory  {sample.disk:.0f} MB disk"
        )
        if elapsed >= next_kill:
            part = _KILLED_PARTS[kills % len(_KILLED_PARTS)]
            kills, next_kill = kills + 1, next_kill + _FAULT_SECONDS
            killed = time.monotonic()
            os.kill(cloud.pid(part), signal.SIGKILL)
            time.sleep(_SAMPLE_SECONDS)
            measurements.outages.append(max(0.0, measurements.last_failure - killed))
            console.print(f"           killed {part}: requests failed for {measurements.outages[-1]:.1f} s")
        time.sleep(_SAMPLE_SECONDS)


def _count_runs(client: ApiClient, measurements: Measurements) -> None:
    for workflow in client.get("/workflows", limit=50)["items"]:
        query: dict[str, object] = {"limit": 100}
        while True:
            page = client.get(f"/workflows/{workflow['id']}/runs", **query)
            measurements.runs.update(run["status"] for run in page["items"])
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]


def _memory(cloud: LocalCloud) -> dict[str, float]:
    """Return the resident megabytes of each part, with the processes that it started.

    The emulated AWS runs each function in a process that it starts, so its own memory and theirs are told apart.
    """
    megabytes = {part: sum(map(resident_megabytes, descendants(cloud.pid(part)))) for part in ("postgres", "qdrant")}
    emulator, *functions = descendants(cloud.pid("aws"))
    return megabytes | {
        "emulated AWS": resident_megabytes(emulator),
        "functions": sum(map(resident_megabytes, functions)),
    }


def _disk(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total / 1e6


def growth_per_hour(sizes: Sequence[tuple[float, float]]) -> float:
    """Return the slope of a line through the second half of (seconds, size): the first half warms up."""
    later = sizes[len(sizes) // 2 :]
    return statistics.linear_regression(*zip(*later, strict=True)).slope * 3600 if len(later) > 2 else 0.0


def _size(sizes: Sequence[tuple[float, float]]) -> str:
    return f"{sizes[-1][1]:.0f} MB, {growth_per_hour(sizes):+.1f} MB an hour"


def report(measurements: Measurements, console: Console) -> None:
    requests = sum(measurements.statuses.values())
    # Who is not let in gets no answer, either.
    failed = sum(count for status, count in measurements.statuses.items() if status >= 500 or status == 401)
    ended = measurements.runs.total()
    table = Table("objective", "promised", "measured")
    table.add_row("requests answered", "99.9 %", f"{100 * (1 - failed / max(1, requests)):.3f} % of {requests}")
    table.add_row("API p95", "100 ms", f"{1000 * _p95([took for _, took in measurements.answers]):.0f} ms")
    for hour, seconds in enumerate(_by_hour(measurements.answers), start=1):
        table.add_row(f"API p95, hour {hour}", "100 ms", f"{1000 * _p95(seconds):.0f} ms of {len(seconds)} requests")
    table.add_row("requests fail after a part was killed", "30 s", _range(measurements.outages))
    table.add_row(
        "runs that succeeded", "99 %", f"{100 * measurements.runs['succeeded'] / max(1, ended):.2f} % of {ended}"
    )
    for part in measurements.samples[-1].memory:
        sizes = [(sample.at, sample.memory[part]) for sample in measurements.samples]
        table.add_row(f"memory of {part}", "no growth", _size(sizes))
    table.add_row("files", "", _size([(sample.at, sample.disk) for sample in measurements.samples]))
    console.print(table)
    console.print("answers by status:", dict(sorted(measurements.statuses.items())))
    console.print("runs by status:", dict(sorted(measurements.runs.items())))


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)] if values else 0.0


def _by_hour(answers: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Return the seconds of the answers of each hour since the first one. Hours without an answer are empty."""
    first = min((ended for ended, _ in answers), default=0.0)
    hours: dict[int, list[float]] = {}
    for ended, took in answers:
        hours.setdefault(int((ended - first) // 3600), []).append(took)
    return [hours.get(hour, []) for hour in range(max(hours, default=-1) + 1)]


def _range(values: Sequence[float]) -> str:
    if not values:
        return "nothing was killed"
    return f"{min(values):.1f} to {max(values):.1f} s, median {statistics.median(values):.1f} s, {len(values)} kills"


def main() -> int:
    console = Console(soft_wrap=True, highlight=False)
    report(soak(float(sys.argv[1]), console), console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
