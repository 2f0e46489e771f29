"""The platform's settings: validate them, store each change as a new version, audit it, and restore an older version.

A change has two side effects: a new version in the store, and an entry in the audit log. The version is written first
and names its author, so the store alone is the source of truth. `_audit_versions` writes the audit entries from the
stored versions, under the same lock as every change. If a process dies between the two, the next change or the next
minute of the observer writes the missing entry. A version that was written directly to the store is audited in the
same way, under the author that the store names.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from email_sender.coordination.audit import AuditEntry
from email_sender.errors import Conflict, InvalidInput, NotFound, Problem
from email_sender.paging import Page
from email_sender.strict_json import read_unambiguous_json

AUDIT_OBJECT = "settings"
# Parameter Store's limit for the value of a parameter.
MAX_BYTES = 8_192
_MAX_PATHS = 50
_MAX_DEPTH = 8

type SettingsCheck = Callable[[Any], Mapping[str, Any]]
"""Returns the document with its defaults filled in. Raises InvalidInput with pointers."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version as it is stored. `by` is its author, `restored_version` the version that it restored, if any.

    Both are known only for versions from `SettingsStore.history`.
    """

    version: int
    text: str
    at: datetime
    by: str = ""
    restored_version: int | None = None


@dataclass(frozen=True, slots=True)
class CurrentSettings:
    """The settings in effect: those of `version`, or the defaults if none is stored (0) or if it has `problems`."""

    version: int
    settings: Mapping[str, Any]
    at: datetime | None = None
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class SettingsVersion:
    """A version as the history shows it.

    `changed` holds JSON pointers to the values that differ from the previous version (for version 1, from the
    defaults), or None if the previous version is no longer stored. `valid` is true if today's rules accept the version.
    """

    version: int
    at: datetime
    by: str
    restored_version: int | None
    changed: Sequence[str] | None
    valid: bool


class SettingsStore(Protocol):
    """Numbers its versions from 1 and retains the last hundred. Every method raises Unavailable."""

    def latest(self) -> StoredVersion | None:
        """Return the newest version without its author, or None if no version is stored."""

    def history(self) -> Sequence[StoredVersion]:
        """Return the retained versions, oldest first."""

    def put(self, text: str, by: str, restored_version: int | None) -> None: ...


class SettingsUnit(Protocol):
    """A transaction that holds the settings lock. Only one exists at a time."""

    def last_audited_version(self) -> tuple[datetime, int] | None:
        """Return when the last audited version was stored, and its number. Return None if no version was audited."""

    def audit(self, entry: AuditEntry) -> None: ...

    def commit(self) -> None: ...


type SettingsUnits = Callable[[], AbstractContextManager[SettingsUnit]]


class Configuration:
    def __init__(self, store: SettingsStore, units: SettingsUnits, check: SettingsCheck) -> None:
        self._store, self._units, self._check = store, units, check

    def current(self) -> CurrentSettings:
        """Return the settings in effect. Raises Unavailable."""
        return self._interpret(self._store.latest())

    def validate(self, document: Any) -> Mapping[str, Any]:
        """Return the document as it would be stored. Raises InvalidInput with pointers."""
        settings = self._check(document)
        _encode(settings)
        return settings

    def change(self, document: Any, expected: int, subject: str) -> CurrentSettings:
        """Store the document as a new version, unless the latest version is the same.

        `expected` is the number of the version that the caller last read.

        Raises:
            InvalidInput: the document is invalid; nothing is stored.
            Conflict: the latest version is not `expected`.
            Unavailable: the store or the database did not respond. A repeated call completes the change once.
        """
        text = _encode(self._check(document))
        with self._units() as unit:
            latest = _latest(self._store.history())
            number = latest.version if latest else 0
            # The caller repeats a change because its response was lost.
            is_repeat = latest is not None and (latest.text, latest.by, number) == (text, subject, expected + 1)
            if number != expected and not is_repeat:
                raise Conflict(f"The settings are at version {number}, not {expected}. Read them again.")
            return self._store_version(unit, latest, text, subject, None)

    def roll_back(self, version: int, subject: str) -> CurrentSettings:
        """Store the settings of an older version as a new version.

        Raises:
            NotFound: the version does not exist or is no longer stored.
            Conflict: today's rules do not accept the version.
            Unavailable: the store or the database did not respond.
        """
        with self._units() as unit:
            history = self._store.history()
            target = next((candidate for candidate in history if candidate.version == version), None)
            if target is None:
                raise NotFound(f"Version {version} of the settings does not exist or is no longer stored.")
            restored_settings = self._interpret(target)
            if restored_settings.problems:
                problem_texts = "; ".join(
                    f"{problem.pointer}: {problem.message}" for problem in restored_settings.problems
                )
                raise Conflict(f"Version {version} of the settings is no longer valid: {problem_texts}")
            return self._store_version(unit, _latest(history), _encode(restored_settings.settings), subject, version)

    def history(self, before: int | None, limit: int) -> Page[SettingsVersion]:
        """Return a page of the versions below `before`, newest first. Raises Unavailable."""
        versions = self._describe(self._store.history())
        matching_versions = [version for version in reversed(versions) if before is None or version.version < before]
        return Page(
            matching_versions[:limit],
            str(matching_versions[limit - 1].version) if len(matching_versions) > limit else None,
        )

    def audit_pending_versions(self) -> int:
        """Write the audit entries that stored versions lack. Return how many were written. Raises Unavailable."""
        with self._units() as unit:
            count = self._audit_versions(unit)
            unit.commit()
        return count

    def _store_version(
        self, unit: SettingsUnit, latest: StoredVersion | None, text: str, subject: str, restored_version: int | None
    ) -> CurrentSettings:
        if latest is None or latest.text != text:
            self._store.put(text, subject, restored_version)
        self._audit_versions(unit)
        current = self.current()
        unit.commit()
        return current

    def _audit_versions(self, unit: SettingsUnit) -> int:
        last = unit.last_audited_version()
        # By time first: a parameter that was deleted starts again at version 1.
        history = self._store.history()
        pending = [
            (version, stored_version)
            for version, stored_version in zip(self._describe(history), history, strict=True)
            if last is None or (version.at, version.version) > last
        ]
        for pending_version, pending_stored in pending:
            details: dict[str, Any] = {
                "version": pending_version.version,
                "stored_at": pending_version.at.isoformat(),
                "changed": pending_version.changed,
                "valid": pending_version.valid,
            }
            if pending_version.valid:
                # An invalid version may contain anything, so its content is not audited.
                details["settings"] = self._interpret(pending_stored).settings
            if pending_version.restored_version is not None:
                details["again"] = pending_version.restored_version
            action = "config.change" if pending_version.restored_version is None else "config.rollback"
            unit.audit(AuditEntry(pending_version.at, pending_version.by, action, AUDIT_OBJECT, details))
        return len(pending)

    def _describe(self, stored_versions: Sequence[StoredVersion]) -> Sequence[SettingsVersion]:
        versions = []
        before: Any = self._check({}) if stored_versions and stored_versions[0].version == 1 else None
        for stored_version in stored_versions:
            after, is_valid = _parse_leniently(stored_version.text), not self._interpret(stored_version).problems
            paths = None if before is None else changed_paths(before, after)
            versions.append(
                SettingsVersion(
                    stored_version.version,
                    stored_version.at,
                    stored_version.by,
                    stored_version.restored_version,
                    paths,
                    is_valid,
                )
            )
            before = after
        return versions

    def _interpret(self, stored_version: StoredVersion | None) -> CurrentSettings:
        if stored_version is None:
            return CurrentSettings(0, self._check({}))
        try:
            return CurrentSettings(
                stored_version.version, self._check(read_unambiguous_json(stored_version.text)), stored_version.at
            )
        except InvalidInput as error:
            return CurrentSettings(stored_version.version, self._check({}), stored_version.at, error.problems)
        except ValueError:
            problems = [Problem("", "The stored settings are not valid JSON.")]
            return CurrentSettings(stored_version.version, self._check({}), stored_version.at, problems)


def changed_paths(before: Any, after: Any) -> Sequence[str]:
    """Return JSON pointers to the values that differ, sorted, at most 50."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    paths = {path for path in old.keys() | new.keys() if old.get(path, _leaves) != new.get(path, _leaves)}
    # An object that is empty before or after the change is reported only if none of its members is reported.
    empty_paths = {path for path in paths if old.get(path) == {} or new.get(path) == {}}
    reported_paths = (paths - empty_paths) | {
        path for path in empty_paths if not any(candidate.startswith(f"{path}/") for candidate in paths)
    }
    return sorted(reported_paths)[:_MAX_PATHS]


def _leaves(value: Any, path: str = "", depth: int = 0) -> Sequence[tuple[str, Any]]:
    if not isinstance(value, dict) or not value or depth == _MAX_DEPTH:
        return [(path, value)]
    return [
        leaf
        for name, inner in value.items()
        for leaf in _leaves(inner, path + "/" + name[:100].replace("~", "~0").replace("/", "~1"), depth + 1)
    ]


def _latest(history: Sequence[StoredVersion]) -> StoredVersion | None:
    return history[-1] if history else None


def _parse_leniently(text: str) -> Any:
    try:
        return read_unambiguous_json(text)
    except ValueError:
        return text


def _encode(settings: Mapping[str, Any]) -> str:
    """Encode settings as JSON. Equal settings give equal texts. Raise InvalidInput if they are too large."""
    text = json.dumps(settings, separators=(",", ":"), sort_keys=True)
    if len(text.encode()) > MAX_BYTES:
        raise InvalidInput.at("", f"The settings have {len(text.encode())} bytes. At most {MAX_BYTES} are allowed.")
    return text
