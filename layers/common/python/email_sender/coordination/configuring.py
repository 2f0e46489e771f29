"""The platform's settings: validated, then stored as a new version; told in the audit log; brought back.

Two side effects make a change: the store's new version, and the audit log's entry. The version comes first and carries
who made it, so that it alone is the truth; entries are written from the versions by `_tell`, under one lock with every
change. A process that dies in between leaves a version that is not told, and the next change, or the observer's next
minute, tells it. What was written past us is told the same way, under the name that the store knows.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from email_sender.coordination.auditing import AuditEntry
from email_sender.errors import Conflict, InvalidInput, NotFound, Problem
from email_sender.paging import Page
from email_sender.strict_json import read_unambiguous_json

OBJECT = "settings"
# What Parameter Store keeps of one parameter.
MAX_BYTES = 8_192
_MAX_PATHS = 50
_MAX_DEPTH = 8

type Check = Callable[[Any], Mapping[str, Any]]
"""The document with its defaults filled in. Raises InvalidInput with pointers."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A version as it is stored. `by` is who made it; `again`: which version it brought back. Both are known in the
    history alone."""

    version: int
    text: str
    at: datetime
    by: str = ""
    again: int | None = None


@dataclass(frozen=True, slots=True)
class Current:
    """`settings` are those of `version`, or the defaults where there is none (0) or it has `problems`."""

    version: int
    settings: Mapping[str, Any]
    at: datetime | None = None
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """`changed` points to what is otherwise than in the version before (for the first: than the defaults); None where
    that is not kept any more. `valid`: by today's rules."""

    version: int
    at: datetime
    by: str
    again: int | None
    changed: Sequence[str] | None
    valid: bool


class SettingsStore(Protocol):
    """Numbers its versions from 1 and keeps the last hundred. Every call raises Unavailable."""

    def latest(self) -> Stored | None: ...

    def history(self) -> Sequence[Stored]:
        """The oldest first."""

    def put(self, text: str, by: str, again: int | None) -> None: ...


class SettingsUnit(Protocol):
    """A transaction that nobody else has at the same time."""

    def last_told(self) -> tuple[datetime, int] | None:
        """When the version that was told last was stored, and its number."""

    def tell(self, entry: AuditEntry) -> None: ...

    def commit(self) -> None: ...


type SettingsUnits = Callable[[], AbstractContextManager[SettingsUnit]]


class Configuration:
    def __init__(self, store: SettingsStore, units: SettingsUnits, check: Check) -> None:
        self._store, self._units, self._check = store, units, check

    def current(self) -> Current:
        """Raises Unavailable."""
        return self._seen(self._store.latest())

    def validate(self, document: Any) -> Mapping[str, Any]:
        """As it would be stored. Raises InvalidInput with pointers."""
        found = self._check(document)
        _encoded(found)
        return found

    def change(self, document: Any, expected: int, subject: str) -> Current:
        """Store it as a new version; what is stored already makes none. `expected` is the version last seen.

        Raises:
            InvalidInput: with pointers; nothing is stored.
            Conflict: another version is there by now.
            Unavailable: the store or the database did not answer. Asked again it does what was left, once.
        """
        text = _encoded(self._check(document))
        with self._units() as unit:
            latest = _last(self._store.history())
            number = latest.version if latest else 0
            # The answer to the same change got lost.
            repeated = latest is not None and (latest.text, latest.by, number) == (text, subject, expected + 1)
            if number != expected and not repeated:
                raise Conflict(f"The settings are at version {number}, not {expected}: read them again.")
            return self._put(unit, latest, text, subject, None)

    def roll_back(self, version: int, subject: str) -> Current:
        """Make a new version of what an older one said, by today's rules.

        Raises:
            NotFound: there is no such version, or it is not kept any more.
            Conflict: it does not fit any more.
            Unavailable.
        """
        with self._units() as unit:
            history = self._store.history()
            wanted = next((each for each in history if each.version == version), None)
            if wanted is None:
                raise NotFound(f"There is no version {version} of the settings, or it is not kept any more.")
            seen = self._seen(wanted)
            if seen.problems:
                words = "; ".join(f"{each.pointer}: {each.message}" for each in seen.problems)
                raise Conflict(f"Version {version} does not fit any more: {words}")
            return self._put(unit, _last(history), _encoded(seen.settings), subject, version)

    def history(self, before: int | None, limit: int) -> Page[Version]:
        """The newest first, of those below `before`. Raises Unavailable."""
        versions = self._shown(self._store.history())
        chosen = [each for each in reversed(versions) if before is None or each.version < before]
        return Page(chosen[:limit], str(chosen[limit - 1].version) if len(chosen) > limit else None)

    def settle(self) -> int:
        """Tell what is stored and not told. Returns how many versions. Raises Unavailable."""
        with self._units() as unit:
            told = self._tell(unit)
            unit.commit()
        return told

    def _put(self, unit: SettingsUnit, latest: Stored | None, text: str, subject: str, again: int | None) -> Current:
        if latest is None or latest.text != text:
            self._store.put(text, subject, again)
        self._tell(unit)
        current = self.current()
        unit.commit()
        return current

    def _tell(self, unit: SettingsUnit) -> int:
        last = unit.last_told()
        # By time first: a parameter that was deleted begins anew at version 1.
        history = self._store.history()
        left = [
            (each, stored)
            for each, stored in zip(self._shown(history), history, strict=True)
            if last is None or (each.at, each.version) > last
        ]
        for each, stored in left:
            details: dict[str, Any] = {
                "version": each.version, "stored_at": each.at.isoformat(), "changed": each.changed, "valid": each.valid,
            }  # fmt: skip
            if each.valid:
                # Of one that is not, nobody knows what it holds.
                details["settings"] = self._seen(stored).settings
            if each.again is not None:
                details["again"] = each.again
            action = "config.change" if each.again is None else "config.rollback"
            unit.tell(AuditEntry(each.at, each.by, action, OBJECT, details))
        return len(left)

    def _shown(self, stored: Sequence[Stored]) -> Sequence[Version]:
        versions = []
        before: Any = self._check({}) if stored and stored[0].version == 1 else None
        for each in stored:
            after, valid = _read(each.text), not self._seen(each).problems
            changed = None if before is None else changed_paths(before, after)
            versions.append(Version(each.version, each.at, each.by, each.again, changed, valid))
            before = after
        return versions

    def _seen(self, stored: Stored | None) -> Current:
        if stored is None:
            return Current(0, self._check({}))
        try:
            return Current(stored.version, self._check(read_unambiguous_json(stored.text)), stored.at)
        except InvalidInput as error:
            return Current(stored.version, self._check({}), stored.at, error.problems)
        except ValueError:
            problems = [Problem("", "What is stored is no JSON.")]
            return Current(stored.version, self._check({}), stored.at, problems)


def changed_paths(before: Any, after: Any) -> Sequence[str]:
    """JSON pointers to what is otherwise, 50 at most."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    paths = {path for path in old.keys() | new.keys() if old.get(path, _leaves) != new.get(path, _leaves)}
    # What was empty and is not any more is told by what is in it now.
    emptied = {path for path in paths if old.get(path) == {} or new.get(path) == {}}
    told = (paths - emptied) | {path for path in emptied if not any(each.startswith(f"{path}/") for each in paths)}
    return sorted(told)[:_MAX_PATHS]


def _leaves(value: Any, path: str = "", depth: int = 0) -> Sequence[tuple[str, Any]]:
    if not isinstance(value, dict) or not value or depth == _MAX_DEPTH:
        return [(path, value)]
    return [
        leaf
        for name, inner in value.items()
        for leaf in _leaves(inner, path + "/" + name[:100].replace("~", "~0").replace("/", "~1"), depth + 1)
    ]


def _last(history: Sequence[Stored]) -> Stored | None:
    return history[-1] if history else None


def _read(text: str) -> Any:
    try:
        return read_unambiguous_json(text)
    except ValueError:
        return text


def _encoded(settings: Mapping[str, Any]) -> str:
    """Always the same of the same settings."""
    text = json.dumps(settings, separators=(",", ":"), sort_keys=True)
    if len(text.encode()) > MAX_BYTES:
        raise InvalidInput.at("", f"The settings have {len(text.encode())} bytes; they are at most {MAX_BYTES}.")
    return text
