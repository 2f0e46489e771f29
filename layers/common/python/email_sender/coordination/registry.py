"""The managers, their dependencies, and the routes that each serves.

A manager is a capability that can be stopped, observed, measured and started again. Its resources (functions, the
queues they read, their schedules) are found by the tags of the deployment and are not listed here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from email_sender.errors import InvalidInput, NotFound


class Kind(StrEnum):
    CORE = "core"
    SPECIALISED = "specialised"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True, slots=True)
class Manager:
    """`routes` are the prefixes of the paths that the manager serves, without the API's base path."""

    name: str
    kind: Kind
    about: str
    depends_on: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


_COORDINATOR = "central-coordinator"

MANAGERS: Sequence[Manager] = (
    Manager(_COORDINATOR, Kind.CORE, "The bus: publishes, records and lists events", (), ("/events", "/jobs")),
    Manager("dependency-manager", Kind.CORE, "Dependencies of managers, and the deployed versions", (_COORDINATOR,)),
    Manager("api-gateway", Kind.CORE, "The HTTP API of every area", (_COORDINATOR, "security-manager"), ("",)),
    Manager("vectorization", Kind.CORE, "Vectors, imports and incoming mail", (_COORDINATOR,), ("/vectors",)),
    Manager(
        "workflow-manager", Kind.SPECIALISED, "Workflows, their triggers and their steps", ("orchestrator",),
        ("/workflows", "/hooks"),
    ),
    Manager("ai-template-manager", Kind.SPECIALISED, "Templates and drafts", (_COORDINATOR,), ("/templates",)),
    Manager(
        "notification-manager", Kind.SPECIALISED, "Outgoing mail, its delivery, and notifications",
        ("ai-template-manager",), ("/contacts", "/emails", "/suppressions", "/notifications", "/webhooks"),
    ),
    Manager(
        "security-manager", Kind.SPECIALISED, "Sign-in and the audit log", (_COORDINATOR,), ("/auth", "/audit")
    ),
    Manager(
        "tenant-manager", Kind.SPECIALISED, "Tenants, their members and their isolation", (_COORDINATOR,),
        ("/tenants", "/members", "/keys", "/retention"),
    ),
    Manager(
        "orchestrator", Kind.SPECIALISED, "Runs: tracked, cancelled, resumed", (_COORDINATOR,), ("/runs", "/approvals")
    ),
    Manager("config-manager", Kind.INFRASTRUCTURE, "Settings and feature flags", (_COORDINATOR,), ("/config",)),
    Manager(
        "error-manager", Kind.INFRASTRUCTURE, "Failed events and their redrive", (_COORDINATOR,),
        ("/events/failed",),
    ),
    Manager(
        "monitoring-manager", Kind.INFRASTRUCTURE, "Checks every manager each minute", (_COORDINATOR,), ("/status",)
    ),
    Manager("metrics-manager", Kind.INFRASTRUCTURE, "The platform's metrics", ("monitoring-manager",), ("/metrics",)),
    Manager(
        "logging-manager", Kind.INFRASTRUCTURE, "Logs, their level and their retention", (_COORDINATOR,),
        ("/log-level",),
    ),
    Manager("backup-manager", Kind.INFRASTRUCTURE, "Backups of the database and the vectors", ("vectorization",)),
    Manager("tracing-manager", Kind.INFRASTRUCTURE, "Traces through functions and events", ("logging-manager",)),
    Manager("alerting-manager", Kind.INFRASTRUCTURE, "Alarms on metrics", ("metrics-manager",)),
    Manager("dashboard-manager", Kind.INFRASTRUCTURE, "Dashboards of metrics", ("metrics-manager",)),
    Manager("replication-manager", Kind.INFRASTRUCTURE, "Replicas of the database, and failovers", ("vectorization",)),
    Manager("load-balancer", Kind.INFRASTRUCTURE, "The addresses behind the names of the stores", ("api-gateway",)),
)  # fmt: skip

# Open even if their manager is stopped: starting managers, health information, and a recipient's right to unsubscribe.
_ALWAYS_OPEN = ("/managers", "/health", "/version", "/docs", "/openapi.json", "/unsubscribe")


class ManagerGraph:
    """The dependencies of managers. `order` names each manager after the managers it depends on."""

    def __init__(self, managers: Iterable[Manager] = MANAGERS) -> None:
        """Raise InvalidInput for a cycle, for a duplicate name, or for a dependency that does not exist."""
        self._managers: dict[str, Manager] = {}
        for manager in managers:
            if manager.name in self._managers:
                raise InvalidInput(f"Two managers are named {manager.name}.")
            self._managers[manager.name] = manager
        self.order: Sequence[str] = self._start_order()

    def __getitem__(self, name: str) -> Manager:
        if name not in self._managers:
            raise NotFound(f"The manager {name} does not exist. Known managers: {', '.join(self.order)}.")
        return self._managers[name]

    def dependencies(self, name: str) -> Sequence[str]:
        """Return all managers that must run for this one, each after its own dependencies."""
        required_names = _closure(name, {manager.name: manager.depends_on for manager in self._managers.values()})
        return [candidate for candidate in self.order if candidate in required_names]

    def dependents(self, name: str) -> Sequence[str]:
        """Return all managers that cannot run without this one, each before its own dependencies."""
        needed_by: dict[str, list[str]] = {manager_name: [] for manager_name in self._managers}
        for manager in self._managers.values():
            for dependency in manager.depends_on:
                needed_by[dependency].append(manager.name)
        dependent_names = _closure(name, needed_by)
        return [candidate for candidate in reversed(self.order) if candidate in dependent_names]

    def _start_order(self) -> list[str]:
        ordered_names: list[str] = []
        remaining = dict(self._managers)
        while remaining:
            ready = [
                name
                for name, manager in remaining.items()
                if all(dependency in ordered_names for dependency in manager.depends_on)
            ]
            if not ready:
                unknown = sorted(
                    {dependency for manager in remaining.values() for dependency in manager.depends_on}
                    - self._managers.keys()
                )
                if unknown:
                    raise InvalidInput(f"A manager depends on managers that do not exist: {', '.join(unknown)}.")
                raise InvalidInput(f"These managers depend on each other in a cycle: {', '.join(sorted(remaining))}.")
            ordered_names += ready
            for name in ready:
                del remaining[name]
        return ordered_names


def _closure(name: str, edges: Mapping[str, Collection[str]]) -> set[str]:
    reachable_names: set[str] = set()
    pending_names = list(edges[name])
    while pending_names:
        current_name = pending_names.pop()
        if current_name not in reachable_names:
            reachable_names.add(current_name)
            pending_names += edges[current_name]
    return reachable_names


def manager_for_path(path: str) -> str | None:
    """Return the manager that serves a path (without the base path): the one with the longest matching prefix.

    Return None for a path that is always open.
    """
    if _has_prefix(path, _ALWAYS_OPEN):
        return None
    owners = [
        (len(prefix), manager.name) for manager in MANAGERS for prefix in manager.routes if _has_prefix(path, (prefix,))
    ]
    return max(owners)[1]


def _has_prefix(path: str, prefixes: Iterable[str]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)
