"""Routes of the settings and feature flags: read, validate, change, list versions, and roll back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from coordinator_lambda.bootstrap import configuration
from email_sender.coordination.configuration import Configuration, CurrentSettings, SettingsVersion
from email_sender.errors import InvalidInput
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.platform_settings import PlatformSettings
from email_sender.kit.query_parameters import IfMatch, Limit, parse_if_match
from email_sender.security.permissions import Permission
from email_sender.strict_json import AmbiguousJson, read_unambiguous_json

router = APIRouter(prefix="/config", tags=["settings"])
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]
Config = Annotated[Configuration, depends_on(configuration)]
_SCHEMA = {"$ref": "#/components/schemas/PlatformSettings"}
# The body is parsed here, since a duplicate name has no single value. So the OpenAPI document needs its schema.
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


async def _document(request: Request) -> Any:
    try:
        return read_unambiguous_json(await request.body())
    except AmbiguousJson as error:
        raise InvalidInput.at("", f"Use each name only once: {error}.") from None
    except ValueError:
        # The same error as FastAPI's for other bodies.
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "invalid JSON"}]) from None


Document = Annotated[Any, Depends(_document)]


class ProblemOut(BaseModel):
    pointer: str
    message: str


class ConfigOut(BaseModel):
    """`version` is 0 if nothing is stored and everything has its default.

    `problems` lists why the stored settings are invalid. In that case `settings` are the defaults, and a running
    function continues with the last valid settings that it read.
    """

    version: int
    settings: PlatformSettings
    changed_at: datetime | None
    problems: Sequence[ProblemOut]

    @classmethod
    def of(cls, current: CurrentSettings) -> Self:
        return cls(
            version=current.version,
            settings=PlatformSettings.model_validate(current.settings),
            changed_at=current.at,
            problems=[ProblemOut(pointer=problem.pointer, message=problem.message) for problem in current.problems],
        )


class ValidatedOut(BaseModel):
    """`settings` are the settings as they would be stored."""

    settings: PlatformSettings


class ConfigVersionOut(BaseModel):
    """`changed` points to the values that differ from the previous version; null if that version is no longer stored.

    `again` is the version that this version restored. `valid` is true if today's rules accept the version.
    """

    version: int
    at: datetime
    by: str
    again: int | None
    changed: Sequence[str] | None
    valid: bool

    @classmethod
    def of(cls, version: SettingsVersion) -> Self:
        return cls(
            version=version.version,
            at=version.at,
            by=version.by,
            again=version.restored_version,
            changed=version.changed,
            valid=version.valid,
        )


class ConfigVersionsOut(BaseModel):
    items: Sequence[ConfigVersionOut]
    next_cursor: str | None


class RollbackIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(strict=True, ge=1)]


@router.get("")
async def get_settings(response: Response, _caller: Reader, config: Config) -> ConfigOut:
    """Get the settings. Use the ETag of their version as `If-Match` to change them."""
    return _respond(response, config.current())


@router.put("", openapi_extra=_BODY)
async def replace_settings(
    response: Response, document: Document, caller: Operator, config: Config, if_match: IfMatch = None
) -> ConfigOut:
    """Replace the settings. The document is stored as a new version, and functions use it within 15 seconds.

    Values that are left out get their defaults. If the document is invalid, nothing is stored, and a pointer names each
    mistake. `If-Match` is required; 409 if it is not the latest version.
    """
    expected = parse_if_match(if_match)
    if expected is None:
        raise InvalidInput.at("header:if-match", "If-Match is required. Send the ETag of the version that you change.")
    return _respond(response, config.change(document, expected, caller.subject))


@router.post("/validate", openapi_extra=_BODY)
async def validate_settings(document: Document, _caller: Operator, config: Config) -> ValidatedOut:
    """Validate settings without storing them."""
    return ValidatedOut(settings=PlatformSettings.model_validate(config.validate(document)))


@router.get("/history")
async def list_settings_versions(
    _caller: Reader,
    config: Config,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, description="`next_cursor` of the previous page")] = None,
) -> ConfigVersionsOut:
    """List versions of the settings, newest first, with author, time and changes. At most 100 are retained."""
    version_page = config.history(cursor, limit)
    return ConfigVersionsOut(
        items=[ConfigVersionOut.of(version) for version in version_page.items], next_cursor=version_page.next_cursor
    )


@router.post("/rollback")
async def roll_back_settings(response: Response, body: RollbackIn, caller: Operator, config: Config) -> ConfigOut:
    """Roll back the settings. An older version is stored as a new version; 409 if today's rules do not accept it."""
    return _respond(response, config.roll_back(body.version, caller.subject))


def _respond(response: Response, current: CurrentSettings) -> ConfigOut:
    response.headers["etag"] = f'"{current.version}"'
    return ConfigOut.of(current)
