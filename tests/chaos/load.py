"""Steady load from several warm functions, and what became of each write."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from email_sender.errors import Unavailable
from email_sender.kit.system_clock import new_id

_PAUSE_SECONDS = 0.02

# Writes one thing with this id. Raises Unavailable if it was refused.
type Write = Callable[[UUID], object]


@dataclass
class Load:
    """`seconds` has how long each call took, `acknowledged` when each write was, and `last` that time by writer."""

    acknowledged: dict[UUID, float] = field(default_factory=dict)
    refused: list[UUID] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    unexpected: list[BaseException] = field(default_factory=list)
    last: dict[int, float] = field(default_factory=dict)

    def wait_for_all(self, seconds: float) -> float:
        """Wait until every writer has written again. Return the seconds that this took, at most `seconds`."""
        started = time.monotonic()
        while min(self.last.values()) < started and time.monotonic() - started < seconds:
            time.sleep(0.05)
        return time.monotonic() - started


@contextmanager
def under_load(writers: Callable[[], Write], count: int) -> Iterator[Load]:
    """Write with `count` writers, each made by `writers`, until the block ends."""
    load, stop = Load(), threading.Event()

    def run(writer: int) -> None:
        write, load.last[writer] = writers(), 0.0
        while not stop.is_set():
            write_id, started = new_id(), time.monotonic()
            try:
                write(write_id)
                load.acknowledged[write_id] = load.last[writer] = time.monotonic()
                time.sleep(_PAUSE_SECONDS)
            except Unavailable:
                load.refused.append(write_id)
                time.sleep(0.05)
            except BaseException as error:  # the test reports it
                load.unexpected.append(error)
            load.seconds.append(time.monotonic() - started)

    threads = [threading.Thread(target=run, args=[number], daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join(40)
