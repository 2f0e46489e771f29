"""Routes of the dashboards, for operators who look at them in the console."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict

from coordinator_lambda.bootstrap import dashboards
from email_sender.coordination.dashboards import MAX_HOURS, Dashboards, Panel
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.schemas import Listing
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/dashboards", tags=["platform"])
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Service = Annotated[Dashboards, depends_on(dashboards)]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Hours = Annotated[int, Query(ge=1, le=MAX_HOURS)]


class DashboardNameOut(BaseModel):
    name: str


class PointOut(BaseModel):
    at: datetime
    value: float


class SeriesOut(BaseModel):
    """The oldest point is first. A period without data is missing."""

    label: str
    points: Sequence[PointOut]


class ShownAlarmOut(BaseModel):
    """`state` is OK, ALARM or INSUFFICIENT_DATA."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    state: str
    reason: str


class PanelOut(BaseModel):
    """`shows_number`: only the latest value of each series is of interest. `error` says why there are no figures."""

    title: str
    shows_number: bool
    series: Sequence[SeriesOut]
    alarms: Sequence[ShownAlarmOut]
    error: str

    @classmethod
    def of(cls, panel: Panel) -> Self:
        return cls(
            title=panel.title,
            shows_number=panel.shows_number,
            series=[
                SeriesOut(label=one.label, points=[PointOut(at=at, value=value) for at, value in one.points])
                for one in panel.series
            ],
            alarms=[ShownAlarmOut.model_validate(alarm) for alarm in panel.alarms],
            error=panel.error,
        )


class DashboardOut(BaseModel):
    name: str
    hours: int
    panels: Sequence[PanelOut]


@router.get("")
async def list_dashboards(_caller: Reader, service: Service) -> Listing[DashboardNameOut]:
    """List the names of this deployment's dashboards."""
    return Listing(items=[DashboardNameOut(name=name) for name in service.names()], next_cursor=None)


@router.get("/{dashboard}")
async def get_dashboard(dashboard: Name, _caller: Reader, service: Service, hours: Hours = 1) -> DashboardOut:
    """Get a dashboard with the figures of the last hours. They are at most a minute old."""
    panels = [PanelOut.of(panel) for panel in service.read(dashboard, hours)]
    return DashboardOut(name=dashboard, hours=hours, panels=panels)
