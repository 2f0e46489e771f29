"""Routes of the platform: health, version, status and metrics."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from email_sender.adapters.postgres.metric_totals import PostgresMetricTotals
from email_sender.coordination.health import HealthService, State
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.security.permissions import Permission
from gateway_lambda.bootstrap import Settings, health_service, metric_totals, settings, verifier

router = APIRouter(tags=["platform"])
Checks = Annotated[HealthService, depends_on(health_service)]
Configuration = Annotated[Settings, depends_on(settings)]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]


class HealthOut(BaseModel):
    """`dependencies` is returned only to callers with a valid token."""

    status: str
    dependencies: dict[str, State] | None = None


class VersionOut(BaseModel):
    version: str
    commit: str
    built_at: str


class StatusOut(HealthOut, VersionOut):
    stage: str


@router.get("/health", response_model=HealthOut, response_model_exclude_none=True)
async def check_health(request: Request, checks: Checks) -> JSONResponse:
    """Check the health. Returns 503 if a dependency is down. `dependencies` is returned only with a valid token."""
    report = checks.check()
    body: dict[str, object] = {"status": "ok" if report.ok else "degraded"}
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        verifier().verify(token)
        body["dependencies"] = report.dependencies
    return JSONResponse(body, 200 if report.ok else 503)


@router.get("/version")
async def get_version(config: Configuration) -> VersionOut:
    """Get the deployed version. Returns version, commit and build time."""
    return VersionOut(version=config.version, commit=config.commit, built_at=config.built_at)


@router.get("/status")
async def get_status(_caller: Operator, checks: Checks, config: Configuration) -> StatusOut:
    """Get the status. Returns the stage, the version and the state of each dependency."""
    report = checks.check()
    return StatusOut(
        status="ok" if report.ok else "degraded",
        dependencies=dict(report.dependencies),
        stage=config.stage,
        version=config.version,
        commit=config.commit,
        built_at=config.built_at,
    )


@router.get("/metrics", response_class=PlainTextResponse)
async def get_metrics(
    _caller: Operator, totals: Annotated[PostgresMetricTotals, depends_on(metric_totals)]
) -> Response:
    """Get metrics. Returns counters, histograms and gauges of the whole platform as Prometheus text."""
    # Only Prometheus needs its client; no other request should wait for the import.
    from gateway_lambda.http.prometheus_text import exposition

    text = exposition(totals.read(), totals.read_managers())
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")
