"""In-memory managers and their event sources, with the methods that coordination.lifecycle calls."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import Event
from email_sender.coordination.lifecycle import ManagerUnit, State
from email_sender.errors import Unavailable


class MemoryManagers:
    """Opens units; uncommitted changes are discarded."""

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
    def __init__(self, managers: MemoryManagers, names: Sequence[str]) -> None:
        self._managers, self._names = managers, names
        self._rows = {name: managers.rows.get(name, State(name)) for name in names}
        self._events: list[Event] = []
        self._entries: list[AuditEntry] = []

    def states(self) -> Mapping[str, State]:
        return dict(self._rows)

    def save(self, states: Sequence[State]) -> None:
        self._rows |= {state.name: state for state in states}

    def emit(self, event: Event) -> None:
        self._events.append(event)

    def audit(self, entry: AuditEntry) -> None:
        self._entries.append(entry)

    def commit(self) -> None:
        self._managers.rows = dict(self._rows)
        published_ids = {event.id for event in self._managers.events}
        self._managers.events += [event for event in self._events if event.id not in published_ids]
        self._managers.entries += self._entries
        self._events, self._entries = [], []


class MemoryParts:
    """`fails` is raised once, by the next call that changes something."""

    def __init__(self, managers: Sequence[str]) -> None:
        self._managers = managers
        self.open_managers = set(managers)
        self.calls: list[str] = []
        self.fails: Exception | None = None

    def disable(self, manager: str) -> None:
        self._record_call(f"close {manager}")
        self.open_managers.discard(manager)

    def enable(self, manager: str) -> None:
        self._record_call(f"open {manager}")
        self.open_managers.add(manager)

    def source_counts(self) -> Mapping[str, tuple[int, int]]:
        """Return (on, off) counts with one source for each manager."""
        return {name: (int(name in self.open_managers), int(name not in self.open_managers)) for name in self._managers}

    def _record_call(self, call: str) -> None:
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        self.calls.append(call)
