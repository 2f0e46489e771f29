"""Settings of collections: a plan lists the differences from the configuration, and applying it makes only those."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from email_sender.errors import Conflict
from email_sender.vectors.model import Collection

type Setting = str | int | bool | None

# The settings that the engine can change in place. All others are fixed when a collection is created.
LIVE_SETTINGS: Final = frozenset({"quantized", "segments", "on_disk", "replicas"})


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A difference: `stored` is the collection's value, `wanted` the configured one. `live`: can change in place."""

    setting: str
    stored: Setting
    wanted: Setting
    live: bool


@dataclass(frozen=True, slots=True)
class SettingsPlan:
    """The differences of all collections. `id` is a hash of exactly these changes."""

    changes: Mapping[str, Sequence[SettingChange]]

    @property
    def id(self) -> str:
        rows = [
            [name, change.setting, change.stored, change.wanted]
            for name, changes in sorted(self.changes.items())
            for change in changes
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


class CollectionAdmin(Protocol):
    def plan_changes(self, collection: Collection) -> Sequence[SettingChange]:
        """Return the differences between the stored and the configured settings."""

    def apply_changes(self, collection: Collection, changes: Sequence[SettingChange]) -> None:
        """Apply changes that the engine can make in place."""


class SettingsService:
    def __init__(self, admin: CollectionAdmin, collections: Mapping[str, Collection]) -> None:
        self._admin, self._collections = admin, collections

    def plan(self) -> SettingsPlan:
        changes_by_collection = {
            name: self._admin.plan_changes(collection) for name, collection in self._collections.items()
        }
        return SettingsPlan({name: changes for name, changes in changes_by_collection.items() if changes})

    def apply(self, plan_id: str) -> SettingsPlan:
        """Make the live changes of a plan. Return the remaining plan, whose changes need a new collection.

        Raises:
            Conflict: the differences are no longer those of the plan.
        """
        plan = self.plan()
        if plan.id != plan_id:
            raise Conflict(f"The changes no longer match plan {plan_id[:100]}. Get the plan again and review it.")
        for name, changes in plan.changes.items():
            if live_changes := [change for change in changes if change.live]:
                self._admin.apply_changes(self._collections[name], live_changes)
        return self.plan()
