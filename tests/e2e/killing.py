"""Functions' processes, killed while they work."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from local.client import wait_until
from tests.conftest import Platform

_ROUTES = (
    ("operator@platform", "/config"),
    ("user@acme", "/workflows"),
    ("user@acme", "/vectors/collections"),
    ("user@acme", "/contacts"),
    ("operator@platform", "/status"),
)


def kill_workers(platform: Platform) -> None:
    """Every function's process, wherever it is: what it had not finished stays unfinished."""
    for pid in descendants(platform.cloud.pid("aws")):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def new_sandboxes(platform: Platform) -> None:
    """Processes that remember nothing; back when each area's routes answer: the first to ask a dead one gets a 500."""
    kill_workers(platform)
    for username, path in _ROUTES:
        wait_until(partial(platform[username].http.get, path), lambda answer: answer.status_code == 200, 60)


def descendants(pid: int) -> list[int]:
    children: list[int] = []
    # Of every thread: a child is its thread's.
    for each in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            children += (int(child) for child in each.read_text().split())
    return [*children, *(below for child in children for below in descendants(child))]


@contextmanager
def at_random(
    platform: Platform, *, seed: int, pauses: tuple[float, float] = (0.5, 2.5), times: int = 6
) -> Iterator[None]:
    """Kill all of them now and then, so many times at most, while the block runs."""
    chance, over = random.Random(seed), threading.Event()

    def work() -> None:
        for _ in range(times):
            if over.wait(chance.uniform(*pauses)):
                return
            kill_workers(platform)

    killer = threading.Thread(target=work, daemon=True)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join(30)
