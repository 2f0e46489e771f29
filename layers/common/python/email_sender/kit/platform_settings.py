"""The platform settings: what an operator may change while the platform runs, with bounds.

Each stage has one document in SSM Parameter Store. Omitted fields have their defaults, so `{}` is a valid document. The
settings contain no secrets, and fields that look like secrets are rejected: secrets are stored in Secrets Manager, and
functions receive their ARNs.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from email_sender.errors import InvalidInput, Problem
from email_sender.kit.pydantic_problems import json_pointer, path_of, problems_of
from email_sender.security.features import Feature, Flag, Flags

_SECRET_NAMES = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|(api|access|private)[-_]?key|(^|[-_])key$", re.I
)
_NO_SECRETS = (
    "Settings must not contain secrets. Store the secret in Secrets Manager and pass its ARN as a parameter of the "
    "deployment."
)
_TENANT_ID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
# For one flag: the whole document must fit into Parameter Store's 8 KB.
_MAX_TENANTS = 150

type Days = Annotated[int, Field(strict=True, ge=1, le=3_650)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Logging(_Section):
    """The log level of functions that read the settings. Other functions keep the level of their deployment."""

    level: Literal["INFO", "WARNING", "ERROR"] = "INFO"
    """Log level of the functions that read settings."""


class Notifications(_Section):
    """`quiet_minutes`: repeats within this time are reported together at its end.

    `max_an_hour`: deliveries per channel and hour; further deliveries wait. `kept_days`: retention in days.
    """

    quiet_minutes: Annotated[int, Field(strict=True, ge=1, le=1_440)] = 15
    """Repeats within this time are sent as one notification."""
    max_an_hour: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 30
    """Notifications per channel and hour; further ones wait."""
    kept_days: Days = 90
    """Days that notifications are retained."""


class Mail(_Section):
    """How mail and its outcomes are judged.

    `temporary_bounces` within `temporary_bounce_days` suppress an address. `uncertain_answers`: whether an answer that
    a program may have written ends a wait at once (`accept`) or after somebody has looked (`hold`).
    `automatic_emails_an_hour`: a workflow sends no more emails to one contact within an hour, so that two programs
    never answer each other for ever.
    """

    temporary_bounces: Annotated[int, Field(strict=True, ge=1, le=50)] = 3
    """So many emails that bounced temporarily suppress an address."""
    temporary_bounce_days: Days = 30
    """Days within which they bounced."""
    uncertain_answers: Literal["hold", "accept"] = "hold"
    """Whether an answer that a program may have written ends a wait."""
    automatic_emails_an_hour: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 10
    """Emails of workflows to one contact within an hour."""


class Events(_Section):
    """`kept_months`: retention of stored events in whole months, in addition to the current month."""

    kept_months: Annotated[int, Field(strict=True, ge=1, le=120)] = 13
    """Whole months of events that are retained besides the current one."""


class FailedEvents(_Section):
    """`parked_after`: an event that has failed this often is parked and can be redriven only by its id.

    `kept_days` and `redriven_kept_days`: retention in days; the latter for events that were redriven and did not fail
    again.
    """

    parked_after: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    """A message that failed this often is redriven only by its id."""
    kept_days: Days = 90
    """Days that failed events are retained."""
    redriven_kept_days: Days = 30
    """Days that redriven events are retained."""


class Health(_Section):
    """The age in seconds from which a manager is degraded.

    `outbox_late_seconds`: of an event that the recorder has not stored yet. `clock_late_seconds`: of the last scheduled
    check. Lower bounds would raise false alarms: a busy bus delays events, and the schedule runs once a minute.
    """

    outbox_late_seconds: Annotated[int, Field(strict=True, ge=60, le=86_400)] = 120
    """An event that waits longer for the recorder degrades the central-coordinator."""
    clock_late_seconds: Annotated[int, Field(strict=True, ge=90, le=86_400)] = 180
    """A schedule that is later than this degrades the monitoring-manager."""


class FeatureFlag(_Section):
    """`tenants` overrides `default` for single tenants. Keys are tenant ids in lower case."""

    default: Annotated[bool, Field(strict=True)] = True
    tenants: Annotated[
        dict[Annotated[str, Field(pattern=_TENANT_ID_PATTERN)], Annotated[bool, Field(strict=True)]],
        Field(max_length=_MAX_TENANTS),
    ] = Field(default_factory=dict)


class Features(_Section):
    """Feature flags of the workflow actions ai.generate and http.request, and of POST /workflows/import."""

    ai_generate: FeatureFlag = FeatureFlag()
    """The workflow action ai.generate."""
    http_request: FeatureFlag = FeatureFlag()
    """The workflow action http.request."""
    n8n_import: FeatureFlag = FeatureFlag()
    """The route POST /workflows/import."""


class PlatformSettings(_Section):
    """The complete settings. Omitted fields have their defaults."""

    logging: Logging = Logging()
    notifications: Notifications = Notifications()
    mail: Mail = Mail()
    events: Events = Events()
    failed_events: FailedEvents = FailedEvents()
    health: Health = Health()
    features: Features = Features()

    @cached_property
    def flags(self) -> Flags:
        """The feature flags. The object stays the same, which shows the adapter that nothing changed."""
        flag_settings: dict[str, FeatureFlag] = {
            feature.value: getattr(self.features, feature.value) for feature in Feature
        }
        return {
            feature: Flag(flag_settings[feature.value].default, flag_settings[feature.value].tenants)
            for feature in Feature
        }


def parse_settings(document: Any) -> PlatformSettings:
    """Return the validated settings.

    Raises:
        InvalidInput: with pointers into the document. No message contains a value.
    """
    try:
        return PlatformSettings.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_input=False)
        secrets = {
            json_pointer(path_of(detail, document))
            for detail in details
            if detail["type"] == "extra_forbidden" and _SECRET_NAMES.search(str(detail["loc"][-1]))
        }
        problems = [
            Problem(problem.pointer, _NO_SECRETS) if problem.pointer in secrets else problem
            for problem in problems_of(details, document, root="The document")
        ]
        raise InvalidInput(f"{problems[0].pointer or 'The document'}: {problems[0].message}", problems) from None


def with_defaults(document: Any) -> Mapping[str, Any]:
    """Return the document with all defaults filled in. Raises InvalidInput."""
    return parse_settings(document).model_dump(mode="json")
