"""Settings' versions and their telling in memory: what coordination.configuring asks for, and no more."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from email_sender.coordination.auditing import AuditEntry
from email_sender.coordination.configuring import SettingsUnit, Stored
from email_sender.errors import Unavailable

AT = datetime(2026, 5, 4, tzinfo=UTC)


class MemorySettings:
    """`kept` versions; `down`: it does not answer; `dies` is raised by whoever has just put."""

    def __init__(self, kept: int = 100) -> None:
        self._kept = kept
        self.versions: list[Stored] = []
        self.puts = 0
        self.down = False
        self.dies: BaseException | None = None

    def latest(self) -> Stored | None:
        self._answer()
        return self.versions[-1] if self.versions else None

    def history(self) -> Sequence[Stored]:
        self._answer()
        return list(self.versions)

    def put(self, text: str, by: str, again: int | None) -> None:
        self._answer()
        self.write(text, by, again)
        if self.dies is not None:
            error, self.dies = self.dies, None
            raise error

    def write(self, text: str, by: str = "by hand", again: int | None = None) -> None:
        """As one does who goes past us."""
        self.puts += 1
        number = self.versions[-1].version + 1 if self.versions else 1
        self.versions.append(Stored(number, text, AT + timedelta(seconds=self.puts), by, again))
        self.versions = self.versions[-self._kept :]

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("The store of settings did not answer.")


class MemorySettingsLog:
    """Opens units; what is not committed is not kept."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    @contextmanager
    def __call__(self) -> Iterator[SettingsUnit]:
        yield _Unit(self)


class _Unit:
    def __init__(self, whole: MemorySettingsLog) -> None:
        self._whole = whole
        self._entries: list[AuditEntry] = []

    def last_told(self) -> tuple[datetime, int] | None:
        if not self._whole.entries:
            return None
        last = self._whole.entries[-1].details
        return datetime.fromisoformat(last["stored_at"]), last["version"]

    def tell(self, entry: AuditEntry) -> None:
        self._entries.append(entry)

    def commit(self) -> None:
        self._whole.entries += self._entries
        self._entries = []
