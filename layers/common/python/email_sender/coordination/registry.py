"""The managers there are, what each needs, and which routes are whose.

A manager is a capability that can be stopped, seen to fail, measured and started again. What it is made of (functions,
the queues they read, their clocks) is found by the tags of what is deployed, not written here.
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
    """`routes` are prefixes of paths under the API's base path that this manager answers for."""

    name: str
    kind: Kind
    about: str
    depends_on: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


_COORDINATOR = "central-coordinator"

MANAGERS: Sequence[Manager] = (
    Manager(_COORDINATOR, Kind.CORE, "The bus: events told, kept and read", (), ("/events", "/jobs")),
    Manager("dependency-manager", Kind.CORE, "What needs what, and whether one version is deployed", (_COORDINATOR,)),
    Manager("api-gateway", Kind.CORE, "The HTTP API of every area", (_COORDINATOR, "security-manager"), ("",)),
    Manager("vectorization", Kind.CORE, "Vectors, imports and mail that comes in", (_COORDINATOR,), ("/vectors",)),
    Manager(
        "workflow-manager", Kind.SPECIALISED, "Workflows, their triggers and their steps", ("orchestrator",),
        ("/workflows", "/hooks"),
    ),
    Manager("ai-template-manager", Kind.SPECIALISED, "Templates and drafts", (_COORDINATOR,), ("/templates",)),
    Manager(
        "notification-manager", Kind.SPECIALISED, "Mail, what becomes of it, and notifications",
        ("ai-template-manager",), ("/contacts", "/emails", "/suppressions", "/notifications"),
    ),
    Manager(
        "security-manager", Kind.SPECIALISED, "Signing in, and the audit trail", (_COORDINATOR,), ("/auth", "/audit")
    ),
    Manager("tenant-manager", Kind.SPECIALISED, "Tenants, sealed off from each other", (_COORDINATOR,)),
    Manager(
        "orchestrator", Kind.SPECIALISED, "Runs: followed, ended, begun again", (_COORDINATOR,), ("/runs", "/approvals")
    ),
    Manager("config-manager", Kind.INFRASTRUCTURE, "Settings and feature flags", (_COORDINATOR,), ("/config",)),
    Manager(
        "error-manager", Kind.INFRASTRUCTURE, "What failed for good, and its way back", (_COORDINATOR,),
        ("/events/failed",),
    ),
    Manager(
        "monitoring-manager", Kind.INFRASTRUCTURE, "Looks at every manager, every minute", (_COORDINATOR,), ("/status",)
    ),
    Manager("metrics-manager", Kind.INFRASTRUCTURE, "The platform's series", ("monitoring-manager",), ("/metrics",)),
    Manager("logging-manager", Kind.INFRASTRUCTURE, "Logs, kept for a time", (_COORDINATOR,)),
    Manager("backup-manager", Kind.INFRASTRUCTURE, "Backups of what is stored", ("vectorization",)),
    Manager("tracing-manager", Kind.INFRASTRUCTURE, "Traces through functions and events", ("logging-manager",)),
    Manager("alerting-manager", Kind.INFRASTRUCTURE, "Alarms on series", ("metrics-manager",)),
    Manager("dashboard-manager", Kind.INFRASTRUCTURE, "Dashboards of series", ("metrics-manager",)),
    Manager("replication-manager", Kind.INFRASTRUCTURE, "Replicas of the stores", ("vectorization",)),
    Manager("load-balancer", Kind.INFRASTRUCTURE, "Traffic shared between versions and regions", ("api-gateway",)),
)  # fmt: skip

# Open whoever is stopped: what starts managers again, what tells whether we are up, and a recipient's right to be left
# alone.
_ALWAYS_OPEN = ("/managers", "/health", "/version", "/docs", "/openapi.json", "/unsubscribe")


class Graph:
    """Who needs whom."""

    def __init__(self, managers: Iterable[Manager] = MANAGERS) -> None:
        """Raises InvalidInput for a cycle, a name that comes twice, or a need of one that is not there."""
        self._managers: dict[str, Manager] = {}
        for each in managers:
            if each.name in self._managers:
                raise InvalidInput(f"There are two managers called {each.name}.")
            self._managers[each.name] = each
        self.order: Sequence[str] = self._sorted()

    def __iter__(self) -> Iterable[Manager]:
        return iter(self._managers[name] for name in self.order)

    def __getitem__(self, name: str) -> Manager:
        if name not in self._managers:
            raise NotFound(f"There is no manager {name}. There are: {', '.join(self.order)}.")
        return self._managers[name]

    def needs(self, name: str) -> Sequence[str]:
        """All that must run for it, each after what it needs itself; without it."""
        wanted = _closure(name, {each.name: each.depends_on for each in self._managers.values()})
        return [each for each in self.order if each in wanted]

    def dependents(self, name: str) -> Sequence[str]:
        """All that cannot run without it, each before what it needs itself; without it."""
        needed_by: dict[str, list[str]] = {each: [] for each in self._managers}
        for each in self._managers.values():
            for need in each.depends_on:
                needed_by[need].append(each.name)
        found = _closure(name, needed_by)
        return [each for each in reversed(self.order) if each in found]

    def _sorted(self) -> list[str]:
        done: list[str] = []
        left = dict(self._managers)
        while left:
            ready = [name for name, each in left.items() if all(need in done for need in each.depends_on)]
            if not ready:
                unknown = sorted({need for each in left.values() for need in each.depends_on} - self._managers.keys())
                if unknown:
                    raise InvalidInput(f"There is no manager {', '.join(unknown)} to depend on.")
                raise InvalidInput(f"These managers need each other in a circle: {', '.join(sorted(left))}.")
            done += ready
            for name in ready:
                del left[name]
        return done


def _closure(name: str, edges: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    ahead = list(edges[name])
    while ahead:
        each = ahead.pop()
        if each not in found:
            found.add(each)
            ahead += edges[each]
    return found


def manager_of(path: str) -> str | None:
    """Whose a path is, without the base path: the longest prefix's. None for what is always open."""
    if _begins(path, _ALWAYS_OPEN):
        return None
    owners = [(len(prefix), each.name) for each in MANAGERS for prefix in each.routes if _begins(path, (prefix,))]
    return max(owners)[1]


def _begins(path: str, prefixes: Iterable[str]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)
