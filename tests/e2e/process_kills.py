"""Kill the processes of Lambda functions while they work."""

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


def kill_function_processes(platform: Platform) -> None:
    """Kill the process of every function, whatever it is doing. Its unfinished work stays unfinished."""
    for pid in descendant_pids(platform.cloud.pid("aws")):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def restart_execution_environments(platform: Platform) -> None:
    """Replace all function processes, and wait until the routes of each area respond: a dead process returns 500."""
    kill_function_processes(platform)
    for username, path in _ROUTES:
        wait_until(partial(platform[username].http.get, path), lambda response: response.status_code == 200, 60)


def descendant_pids(pid: int) -> list[int]:
    children: list[int] = []
    # Read every thread: Linux lists a child process under the thread that started it.
    for children_file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            children += (int(child) for child in children_file.read_text().split())
    return [*children, *(descendant for child in children for descendant in descendant_pids(child))]


@contextmanager
def random_kills(
    platform: Platform, *, seed: int, pauses: tuple[float, float] = (0.5, 2.5), times: int = 6
) -> Iterator[None]:
    """Kill all function processes at random times, at most `times` times, while the block runs."""
    generator, stop = random.Random(seed), threading.Event()

    def kill_repeatedly() -> None:
        for _ in range(times):
            if stop.wait(generator.uniform(*pauses)):
                return
            kill_function_processes(platform)

    killer = threading.Thread(target=kill_repeatedly, daemon=True)
    killer.start()
    try:
        yield
    finally:
        stop.set()
        killer.join(30)
