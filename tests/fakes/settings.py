"""In-memory settings versions and their audit log, with the methods that coordination.configuration calls."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.configuration import SettingsUnit, StoredVersion
from email_sender.errors import Unavailable

AT = datetime(2026, 5, 4, tzinfo=UTC)


class MemorySettings:
    """Keeps `max_versions` versions. `down` makes every call fail; `dies` is raised once, after the next put."""

    def __init__(self, max_versions: int = 100) -> None:
        self._max_versions = max_versions
        self.versions: list[StoredVersion] = []
        self.puts = 0
        self.down = False
        self.dies: BaseException | None = None

    def latest(self) -> StoredVersion | None:
        self._check_available()
        return self.versions[-1] if self.versions else None

    def history(self) -> Sequence[StoredVersion]:
        self._check_available()
        return list(self.versions)

    def put(self, text: str, by: str, restored_version: int | None) -> None:
        self._check_available()
        self.write(text, by, restored_version)
        if self.dies is not None:
            error, self.dies = self.dies, None
            raise error

    def write(self, text: str, by: str = "manually", again: int | None = None) -> None:
        """Store a version as somebody does who bypasses the platform."""
        self.puts += 1
        number = self.versions[-1].version + 1 if self.versions else 1
        self.versions.append(StoredVersion(number, text, AT + timedelta(seconds=self.puts), by, again))
        self.versions = self.versions[-self._max_versions :]

    def _check_available(self) -> None:
        if self.down:
            raise Unavailable("The settings store did not respond.")


class MemorySettingsLog:
    """Opens units; uncommitted changes are discarded."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    @contextmanager
    def __call__(self) -> Iterator[SettingsUnit]:
        yield _Unit(self)


class _Unit:
    def __init__(self, log: MemorySettingsLog) -> None:
        self._log = log
        self._entries: list[AuditEntry] = []

    def last_audited_version(self) -> tuple[datetime, int] | None:
        if not self._log.entries:
            return None
        last = self._log.entries[-1].details
        return datetime.fromisoformat(last["stored_at"]), last["version"]

    def audit(self, entry: AuditEntry) -> None:
        self._entries.append(entry)

    def commit(self) -> None:
        self._log.entries += self._entries
        self._entries = []
