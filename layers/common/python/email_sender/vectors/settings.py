"""Collections as configured: a plan shows what would change, and only what was shown is changed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from email_sender.errors import Conflict
from email_sender.vectors.model import Collection

type Setting = str | int | bool | None

# What the engine changes in a collection that is in use. The rest is decided when a collection is made.
LIVE: Final = frozenset({"quantized", "segments", "on_disk", "replicas"})


@dataclass(frozen=True, slots=True)
class Change:
    """`stored` is what the collection has, `wanted` what is configured; `live`: the engine changes it in place."""

    setting: str
    stored: Setting
    wanted: Setting
    live: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """`id` names exactly these changes."""

    changes: Mapping[str, Sequence[Change]]

    @property
    def id(self) -> str:
        listed = [
            [name, each.setting, each.stored, each.wanted]
            for name, changes in sorted(self.changes.items())
            for each in changes
        ]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]


class CollectionAdmin(Protocol):
    def changes(self, collection: Collection) -> Sequence[Change]: ...

    def change(self, collection: Collection, chosen: Sequence[Change]) -> None: ...


class SettingsService:
    def __init__(self, admin: CollectionAdmin, collections: Mapping[str, Collection]) -> None:
        self._admin, self._collections = admin, collections

    def plan(self) -> Plan:
        found = {name: self._admin.changes(each) for name, each in self._collections.items()}
        return Plan({name: changes for name, changes in found.items() if changes})

    def apply(self, plan_id: str) -> Plan:
        """Make the plan's live changes. Returns what is left: nothing, or what only a new collection can have.

        Raises:
            Conflict: the plan is not that of now.
        """
        plan = self.plan()
        if plan.id != plan_id:
            raise Conflict(f"What would change is not what plan {plan_id[:100]} showed: look at the plan again.")
        for name, changes in plan.changes.items():
            if live := [each for each in changes if each.live]:
                self._admin.change(self._collections[name], live)
        return self.plan()
