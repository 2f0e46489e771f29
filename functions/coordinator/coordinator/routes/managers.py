"""Managers: what is known of them, and their lives."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from coordinator.bootstrap import graph, lifecycle, software_version, status_service
from email_sender.coordination.managers import Desired, Lifecycle, State, Status
from email_sender.coordination.observing import StatusService
from email_sender.coordination.registry import Graph, Kind
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.provided import provided
from email_sender.kit.telemetry import MANAGER_STATUS
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/managers", tags=["managers"])
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]
Statuses = Annotated[StatusService, provided(status_service)]
Known = Annotated[Graph, provided(graph)]
Lives = Annotated[Lifecycle, provided(lifecycle)]
Cascade = Annotated[bool, Query(description="Also those that need it, or that it needs")]


class ManagerOut(BaseModel):
    """`desired` is what an operator asked for, `status` what is seen; `figures` are the manager's own."""

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
    def of(cls, state: State, known: Graph) -> Self:
        manager = known[state.name]
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
    """In the order in which they start: each after what it needs."""

    items: Sequence[ManagerOut]


class ManagerMetricsOut(BaseModel):
    """`series` is what CloudWatch is told of it: 1 while it is running or degraded."""

    name: str
    figures: Mapping[str, Any]
    series: Mapping[str, int]


@router.get("/status")
async def all_of_them(_caller: Reader, statuses: Statuses, known: Known) -> ManagersOut:
    """Every manager, looked at now (at most every three seconds)."""
    return ManagersOut(items=[ManagerOut.of(each, known) for each in statuses.states()])


@router.get("/{name}/status")
async def one(name: str, _caller: Reader, statuses: Statuses, known: Known) -> ManagerOut:
    return _shown(name, statuses, known)


@router.get("/{name}/metrics")
async def metrics(name: str, _caller: Reader, statuses: Statuses, known: Known) -> ManagerMetricsOut:
    """The manager's own figures, as last seen."""
    found = _shown(name, statuses, known)
    return ManagerMetricsOut(name=name, figures=found.figures, series={MANAGER_STATUS: int(found.status.active)})


@router.post("/{name}/stop")
async def stop(
    name: str, caller: Operator, lives: Lives, statuses: Statuses, known: Known, cascade: Cascade = False
) -> ManagerOut:
    """Its routes answer 503 `manager_stopped` within five seconds, its queues keep what comes, its clocks do not ring.

    409 where another that runs needs it, unless `cascade`: then that is stopped first. One that is stopped stays so.
    """
    return _changed(statuses, known, lambda: lives.stop(name, caller.subject, cascade=cascade))


@router.post("/{name}/start")
async def start(
    name: str, caller: Operator, lives: Lives, statuses: Statuses, known: Known, cascade: Cascade = False
) -> ManagerOut:
    """What its queues kept is done. 409 where what it needs is stopped, unless `cascade`: then that starts first."""
    return _changed(statuses, known, lambda: lives.start(name, caller.subject, cascade=cascade))


@router.post("/{name}/restart")
async def restart(
    name: str, caller: Operator, lives: Lives, statuses: Statuses, known: Known, cascade: Cascade = False
) -> ManagerOut:
    """Stopped and started again; with `cascade` those that need it, too."""
    return _changed(statuses, known, lambda: lives.restart(name, caller.subject, cascade=cascade))


def _changed(statuses: StatusService, known: Graph, change: Callable[[], State]) -> ManagerOut:
    # Of a new deployment nothing may have been looked at: what is not there cannot be started.
    statuses.look_once()
    changed = change()
    statuses.forget()
    return ManagerOut.of(changed, known)


def _shown(name: str, statuses: StatusService, known: Graph) -> ManagerOut:
    manager = known[name]
    return next(ManagerOut.of(each, known) for each in statuses.states() if each.name == manager.name)
