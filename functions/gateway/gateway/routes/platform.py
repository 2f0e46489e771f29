"""The platform itself: health, version, status, metrics."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from email_sender.adapters.cloudwatch import CloudWatchMetrics
from email_sender.coordination.health import HealthService, State
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.provided import provided
from email_sender.security.permissions import Permission
from gateway.bootstrap import Settings, health_service, metrics_reader, settings, verifier
from gateway.exposition import SERIES, exposition

router = APIRouter(tags=["platform"])
Checks = Annotated[HealthService, provided(health_service)]
Configuration = Annotated[Settings, provided(settings)]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]


class HealthOut(BaseModel):
    """`dependencies` is there for who sends a valid token."""

    status: str
    dependencies: dict[str, State] | None = None


class VersionOut(BaseModel):
    version: str
    commit: str
    built_at: str


class StatusOut(HealthOut, VersionOut):
    stage: str


@router.get("/health", response_model=HealthOut, response_model_exclude_none=True)
async def health(request: Request, checks: Checks) -> JSONResponse:
    """Is it up? 503 where a dependency is not. Each one's state is shown with a token alone."""
    found = checks.check()
    body: dict[str, object] = {"status": "ok" if found.ok else "degraded"}
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        verifier().verify(token)
        body["dependencies"] = found.dependencies
    return JSONResponse(body, 200 if found.ok else 503)


@router.get("/version")
async def version(known: Configuration) -> VersionOut:
    """What is deployed: version, commit, build time."""
    return VersionOut(version=known.version, commit=known.commit, built_at=known.built_at)


@router.get("/status")
async def status(_caller: Operator, checks: Checks, known: Configuration) -> StatusOut:
    """What runs, and whether its dependencies do."""
    found = checks.check()
    return StatusOut(
        status="ok" if found.ok else "degraded",
        dependencies=dict(found.dependencies),
        stage=known.stage,
        version=known.version,
        commit=known.commit,
        built_at=known.built_at,
    )


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(_caller: Operator, reader: Annotated[CloudWatchMetrics, provided(metrics_reader)]) -> Response:
    """The last five minutes of the platform's series, as Prometheus text, read from CloudWatch."""
    return PlainTextResponse(exposition(reader.samples(SERIES)), media_type="text/plain; version=0.0.4")
