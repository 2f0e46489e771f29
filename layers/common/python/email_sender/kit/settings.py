"""The platform's settings: what an operator may change while it runs, each with its bounds.

One document a stage, in SSM's Parameter Store. A field that is left out has its default, so `{}` is a document. Nothing
here is a secret, and nothing that looks like one is taken: those are in Secrets Manager, and functions know their ARNs.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from email_sender.errors import InvalidInput, Problem
from email_sender.security.features import Feature, Flag, Flags

_SECRET_NAMES = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|(api|access|private)[-_]?key|(^|[-_])key$", re.I
)
_NO_SECRETS = (
    "Settings hold no secrets, and none of them needs one: put it into Secrets Manager and name its ARN in the "
    "deployment's parameters."
)
_TENANT = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
# Of one flag: the whole document has to stay within Parameter Store's 8 KB.
_MAX_TENANTS = 150

type Days = Annotated[int, Field(strict=True, ge=1, le=3_650)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Logging(_Section):
    """Of the functions that read settings, from their next reading on; others have what they were deployed with."""

    level: Literal["INFO", "WARNING", "ERROR"] = "INFO"


class Notifications(_Section):
    """`quiet_minutes`: repeats within it are told together at its end. `max_an_hour`: of one channel; more waits."""

    quiet_minutes: Annotated[int, Field(strict=True, ge=1, le=1_440)] = 15
    max_an_hour: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 30
    kept_days: Days = 90


class Events(_Section):
    """`kept_months`: whole months of stored events, beside the one that is."""

    kept_months: Annotated[int, Field(strict=True, ge=1, le=120)] = 13


class FailedEvents(_Section):
    """`parked_after`: what failed for good so often is sent back by its id alone. `redriven_kept_days`: what was sent
    back and did not fail again."""

    parked_after: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    kept_days: Days = 90
    redriven_kept_days: Days = 30


class Health(_Section):
    """After how many seconds a manager is degraded: an event the recorder does not have, a clock that did not ring.

    Below a minute the one would be what a busy bus looks like, and the other what a clock of a minute does.
    """

    outbox_late_seconds: Annotated[int, Field(strict=True, ge=60, le=86_400)] = 120
    clock_late_seconds: Annotated[int, Field(strict=True, ge=90, le=86_400)] = 180


class FeatureFlag(_Section):
    """`tenants`, by id in lower case, have what is said here in place of `default`."""

    default: Annotated[bool, Field(strict=True)] = True
    tenants: Annotated[
        dict[Annotated[str, Field(pattern=_TENANT)], Annotated[bool, Field(strict=True)]],
        Field(max_length=_MAX_TENANTS),
    ] = Field(default_factory=dict)


class Features(_Section):
    """The workflow actions ai.generate and http.request, and POST /workflows/import."""

    ai_generate: FeatureFlag = FeatureFlag()
    http_request: FeatureFlag = FeatureFlag()
    n8n_import: FeatureFlag = FeatureFlag()


class PlatformSettings(_Section):
    """All of them. What is left out has its default."""

    logging: Logging = Logging()
    notifications: Notifications = Notifications()
    events: Events = Events()
    failed_events: FailedEvents = FailedEvents()
    health: Health = Health()
    features: Features = Features()

    @cached_property
    def flags(self) -> Flags:
        """The same object each time, by which the adapter sees that nothing changed."""
        said: dict[str, FeatureFlag] = {each.value: getattr(self.features, each.value) for each in Feature}
        return {each: Flag(said[each.value].default, said[each.value].tenants) for each in Feature}


def settings_of(document: Any) -> PlatformSettings:
    """Raises InvalidInput with pointers into the document. No message holds a value."""
    try:
        return PlatformSettings.model_validate(document)
    except ValidationError as error:
        problems = [_problem(each["loc"], each["type"], each["msg"]) for each in error.errors(include_input=False)]
        raise InvalidInput(f"{problems[0].pointer or 'The document'}: {problems[0].message}", problems) from None


def complete(document: Any) -> Mapping[str, Any]:
    """The document with every default filled in. Raises InvalidInput."""
    return settings_of(document).model_dump(mode="json")


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> Problem:
    # A key that is refused has pydantic's own "[key]" behind it.
    path = [str(part) for part in location if part != "[key]"]
    pointer = "".join("/" + part[:100].replace("~", "~0").replace("/", "~1") for part in path)
    if kind == "extra_forbidden":
        message = _NO_SECRETS if _SECRET_NAMES.search(path[-1]) else "There is no such setting."
    return Problem(pointer, message)
