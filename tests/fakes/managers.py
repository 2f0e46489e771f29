"""Managers' rows and parts in memory: what coordination.managers asks for, and no more."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from email_sender.coordination.auditing import AuditEntry
from email_sender.coordination.events import Event
from email_sender.coordination.managers import ManagerUnit, State
from email_sender.errors import Unavailable


class MemoryManagers:
    """Opens units; what is not committed is not kept."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.rows: dict[str, State] = {}
        self.events: list[Event] = []
        self.entries: list[AuditEntry] = []
        self.down = False

    @contextmanager
    def __call__(self) -> Iterator[ManagerUnit]:
        if self.down:
            raise Unavailable("The database did not answer.")
        yield _Unit(self, self._names)


class _Unit:
    def __init__(self, whole: MemoryManagers, names: Sequence[str]) -> None:
        self._whole, self._names = whole, names
        self._rows = {name: whole.rows.get(name, State(name)) for name in names}
        self._events: list[Event] = []
        self._entries: list[AuditEntry] = []

    def states(self) -> Mapping[str, State]:
        return dict(self._rows)

    def save(self, states: Sequence[State]) -> None:
        self._rows |= {each.name: each for each in states}

    def emit(self, event: Event) -> None:
        self._events.append(event)

    def audit(self, entry: AuditEntry) -> None:
        self._entries.append(entry)

    def commit(self) -> None:
        self._whole.rows = dict(self._rows)
        told = {each.id for each in self._whole.events}
        self._whole.events += [each for each in self._events if each.id not in told]
        self._whole.entries += self._entries
        self._events, self._entries = [], []


class MemoryParts:
    """`fails` is raised by the next call that would change something."""

    def __init__(self, managers: Sequence[str]) -> None:
        self._managers = managers
        self.open_ones = set(managers)
        self.calls: list[str] = []
        self.fails: Exception | None = None

    def close(self, manager: str) -> None:
        self._called(f"close {manager}")
        self.open_ones.discard(manager)

    def open(self, manager: str) -> None:
        self._called(f"open {manager}")
        self.open_ones.add(manager)

    def switched(self) -> Mapping[str, tuple[int, int]]:
        """One source each."""
        return {name: (int(name in self.open_ones), int(name not in self.open_ones)) for name in self._managers}

    def _called(self, what: str) -> None:
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        self.calls.append(what)
