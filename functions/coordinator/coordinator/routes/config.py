"""Settings and feature flags: read, tried, changed, brought back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from coordinator.bootstrap import configuration
from email_sender.coordination.configuring import Configuration, Current, Version
from email_sender.errors import InvalidInput
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.params import IfMatch, Limit, version_of
from email_sender.kit.provided import provided
from email_sender.kit.settings import PlatformSettings
from email_sender.security.permissions import Permission
from email_sender.strict_json import AmbiguousJson, read_unambiguous_json

router = APIRouter(prefix="/config", tags=["settings"])
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]
Config = Annotated[Configuration, provided(configuration)]
_SCHEMA = {"$ref": "#/components/schemas/PlatformSettings"}
# Read by hand, since a name that comes twice has no one value: so the document of the API is told what it is.
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


async def _document(request: Request) -> Any:
    try:
        return read_unambiguous_json(await request.body())
    except AmbiguousJson as error:
        raise InvalidInput.at("", f"{error}: it has no one value.") from None
    except ValueError:
        # As FastAPI says of other bodies.
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "no JSON"}]) from None


Document = Annotated[Any, Depends(_document)]


class ProblemOut(BaseModel):
    pointer: str
    message: str


class ConfigOut(BaseModel):
    """`version` 0: nothing is stored, and everything has its default.

    `problems`: what is stored does not fit, so `settings` are the defaults; a function that runs goes on with what it
    last read of good.
    """

    version: int
    settings: PlatformSettings
    changed_at: datetime | None
    problems: Sequence[ProblemOut]

    @classmethod
    def of(cls, current: Current) -> Self:
        return cls(
            version=current.version,
            settings=PlatformSettings.model_validate(current.settings),
            changed_at=current.at,
            problems=[ProblemOut(pointer=each.pointer, message=each.message) for each in current.problems],
        )


class ValidatedOut(BaseModel):
    """`settings` as they would be stored."""

    settings: PlatformSettings


class ConfigVersionOut(BaseModel):
    """`changed` points to what is otherwise than in the version before, null where that is not kept any more.

    `again` is the version that this one brought back; `valid` is meant by today's rules.
    """

    version: int
    at: datetime
    by: str
    again: int | None
    changed: Sequence[str] | None
    valid: bool

    @classmethod
    def of(cls, found: Version) -> Self:
        return cls(
            version=found.version, at=found.at, by=found.by, again=found.again, changed=found.changed, valid=found.valid
        )


class ConfigVersionsOut(BaseModel):
    items: Sequence[ConfigVersionOut]
    next_cursor: str | None


class RollbackIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(strict=True, ge=1)]


@router.get("")
async def read(response: Response, _caller: Reader, config: Config) -> ConfigOut:
    """The settings, with the version to give as If-Match."""
    return _answer(response, config.current())


@router.put("", openapi_extra=_BODY)
async def change(
    response: Response, document: Document, caller: Operator, config: Config, if_match: IfMatch = None
) -> ConfigOut:
    """Make a new version of the whole document; functions have it within 15 seconds. What is left out has its default.

    Every mistake is named by a pointer, and nothing is stored then. `If-Match` is needed: 409 where another version is
    there by now.
    """
    expected = version_of(if_match)
    if expected is None:
        raise InvalidInput.at("header:if-match", "Say which version you change, as ETag gave it: If-Match is needed.")
    return _answer(response, config.change(document, expected, caller.subject))


@router.post("/validate", openapi_extra=_BODY)
async def validate(document: Document, _caller: Operator, config: Config) -> ValidatedOut:
    """Check a document without storing it."""
    return ValidatedOut(settings=PlatformSettings.model_validate(config.validate(document)))


@router.get("/history")
async def history(
    _caller: Reader,
    config: Config,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, description="`next_cursor` of the page before")] = None,
) -> ConfigVersionsOut:
    """The versions that are kept, at most a hundred, the newest first: who made them, when, and what they changed."""
    found = config.history(cursor, limit)
    return ConfigVersionsOut(items=[ConfigVersionOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.post("/rollback")
async def roll_back(response: Response, body: RollbackIn, caller: Operator, config: Config) -> ConfigOut:
    """Make a new version of what an older one said. 409 where that does not fit today's rules any more."""
    return _answer(response, config.roll_back(body.version, caller.subject))


def _answer(response: Response, current: Current) -> ConfigOut:
    response.headers["etag"] = f'"{current.version}"'
    return ConfigOut.of(current)
