"""Routes of managers: list them, and stop, start and restart them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from coordinator_lambda.bootstrap import graph, lifecycle, software_version, status_service
from email_sender.coordination.lifecycle import Desired, Lifecycle, State, Status
from email_sender.coordination.manager_status import StatusService
from email_sender.coordination.registry import Kind, ManagerGraph
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.telemetry import MANAGER_STATUS
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/managers", tags=["managers"])
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]
Statuses = Annotated[StatusService, depends_on(status_service)]
KnownManagers = Annotated[ManagerGraph, depends_on(graph)]
ManagerLifecycle = Annotated[Lifecycle, depends_on(lifecycle)]
Cascade = Annotated[bool, Query(description="Include the managers that depend on it, or that it depends on")]


class ManagerOut(BaseModel):
    """`desired` is what an operator requested, `status` what was observed; `figures` are the manager's own."""

    name: str
    version: str
    kind: Kind
    about: str
    depends_on: Sequence[str]
    status: Status
    desired: Desired
    reason: str | None
    figures: Mapping[str, Any]
    observed_at: datetime | None
    changed_at: datetime | None
    changed_by: str | None

    @classmethod
    def of(cls, state: State, manager_graph: ManagerGraph) -> Self:
        manager = manager_graph[state.name]
        return cls(
            name=state.name,
            version=software_version(),
            kind=manager.kind,
            about=manager.about,
            depends_on=manager.depends_on,
            status=state.status,
            desired=state.desired,
            reason=state.reason,
            figures=state.figures,
            observed_at=state.observed_at,
            changed_at=state.changed_at,
            changed_by=state.changed_by,
        )


class ManagersOut(BaseModel):
    """Managers in the order in which they start: each after the managers it depends on."""

    items: Sequence[ManagerOut]


class ManagerMetricsOut(BaseModel):
    """`series` holds the metric that is published to CloudWatch: 1 while the manager is running or degraded."""

    name: str
    figures: Mapping[str, Any]
    series: Mapping[str, int]


@router.get("/status")
async def list_managers(_caller: Reader, statuses: Statuses, manager_graph: KnownManagers) -> ManagersOut:
    """List managers. Their status is checked now, but at most every three seconds."""
    return ManagersOut(items=[ManagerOut.of(state, manager_graph) for state in statuses.states()])


@router.get("/{name}/status")
async def get_manager(name: str, _caller: Reader, statuses: Statuses, manager_graph: KnownManagers) -> ManagerOut:
    """Get a manager."""
    return _find_manager(name, statuses, manager_graph)


@router.get("/{name}/metrics")
async def get_manager_metrics(
    name: str, _caller: Reader, statuses: Statuses, manager_graph: KnownManagers
) -> ManagerMetricsOut:
    """Get a manager's figures as last observed."""
    manager = _find_manager(name, statuses, manager_graph)
    return ManagerMetricsOut(name=name, figures=manager.figures, series={MANAGER_STATUS: int(manager.status.is_active)})


@router.post("/{name}/stop")
async def stop_manager(
    name: str,
    caller: Operator,
    manager_lifecycle: ManagerLifecycle,
    statuses: Statuses,
    manager_graph: KnownManagers,
    cascade: Cascade = False,
) -> ManagerOut:
    """Stop a manager. Within five seconds, its routes respond with 503 `manager_stopped`.

    Its queues retain their messages, and its schedules do not fire. 409 if a running manager depends on it; with
    `cascade`, the dependents are stopped first. The manager stays stopped until it is started.
    """
    return _change_manager(
        statuses, manager_graph, lambda: manager_lifecycle.stop(name, caller.subject, cascade=cascade)
    )


@router.post("/{name}/start")
async def start_manager(
    name: str,
    caller: Operator,
    manager_lifecycle: ManagerLifecycle,
    statuses: Statuses,
    manager_graph: KnownManagers,
    cascade: Cascade = False,
) -> ManagerOut:
    """Start a manager. It processes what its queues retained.

    409 if a manager that it depends on is stopped; with `cascade`, that manager is started first.
    """
    return _change_manager(
        statuses, manager_graph, lambda: manager_lifecycle.start(name, caller.subject, cascade=cascade)
    )


@router.post("/{name}/restart")
async def restart_manager(
    name: str,
    caller: Operator,
    manager_lifecycle: ManagerLifecycle,
    statuses: Statuses,
    manager_graph: KnownManagers,
    cascade: Cascade = False,
) -> ManagerOut:
    """Restart a manager. With `cascade`, the managers that depend on it are restarted as well."""
    return _change_manager(
        statuses, manager_graph, lambda: manager_lifecycle.restart(name, caller.subject, cascade=cascade)
    )


def _change_manager(statuses: StatusService, manager_graph: ManagerGraph, change: Callable[[], State]) -> ManagerOut:
    # A new deployment may not have been observed yet, and a manager that is not deployed cannot be started.
    statuses.ensure_observed()
    state = change()
    statuses.invalidate()
    return ManagerOut.of(state, manager_graph)


def _find_manager(name: str, statuses: StatusService, manager_graph: ManagerGraph) -> ManagerOut:
    manager = manager_graph[name]
    return next(ManagerOut.of(state, manager_graph) for state in statuses.states() if state.name == manager.name)
