"""Routes of the level at which functions log for a while."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from coordinator_lambda.bootstrap import log_level
from email_sender.adapters.postgres.log_level import PostgresLogLevel
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.schemas import RequestBody
from email_sender.kit.system_clock import now
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/log-level", tags=["managers"])
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]
Levels = Annotated[PostgresLogLevel, depends_on(log_level)]


class LogLevelIn(RequestBody):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    minutes: Annotated[int, Field(ge=1, le=1440)] = 30


class LogLevelOut(BaseModel):
    """`level` is null while functions log at their usual level, INFO."""

    level: str | None
    until: datetime | None


@router.get("")
async def get_log_level(_caller: Reader, levels: Levels) -> LogLevelOut:
    """Get the log level that is set for now."""
    current = levels.read()
    return LogLevelOut(level=current.level, until=current.until)


@router.put("")
async def set_log_level(body: LogLevelIn, caller: Operator, levels: Levels) -> LogLevelOut:
    """Set the log level for some minutes. Functions that serve requests and steps follow within seconds."""
    changed = levels.change(body.level, timedelta(minutes=body.minutes), caller.subject, now())
    return LogLevelOut(level=changed.level, until=changed.until)
