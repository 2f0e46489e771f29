"""The model of a validated workflow definition.

parser.parse_definition builds definitions and reports every broken rule with a pointer and a message.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from email_sender.workflows.action_model import Action
from email_sender.workflows.definition.expressions import Expression

# The compiled state machine must stay under 1 MB and a run under 25,000 history events (both are Step Functions'
# limits). A step takes 1 to 2 KB and about 5 events, or 13 with a condition, so 400 steps leave enough for retries and
# for_each.
MAX_STEPS = 400
# An inline Map writes at least 7 events per item, so 2,000 items leave enough for one retry of most items. More items
# need a Distributed Map, which has a separate history for each item.
MAX_ITEMS = 2_000
MAX_BYTES = 256 * 1024
MAX_CONCURRENCY = 40  # above this, Step Functions throttles an inline Map
DEFAULT_CONCURRENCY = 10

ERRORS = ("throttled", "unavailable", "rejected", "invalid", "forbidden", "not_found", "timeout")
"""The error names of a task: `retry.on` can list them, and a failed step's result has one of them."""
RETRY_ON = ("throttled", "unavailable")

# JSON with Expressions as leaves.
type Template = bool | int | float | str | Expression | list[Template] | dict[str, Template] | None


class OnError(StrEnum):
    FAIL = "fail"
    CONTINUE = "continue"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Retry:
    """The retry policy of a step. `max_attempts` includes the first attempt."""

    max_attempts: int = 3
    interval_seconds: int = 1
    backoff: float = 2.0
    on: tuple[str, ...] = RETRY_ON


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a workflow.

    `handler` is the id of the step named by `on_error: {run: …}`, or None. `handles` are the ids of the steps that name
    this step as their handler: it runs after all of them, and only if one of them failed.
    """

    id: str
    action: Action
    arguments: dict[str, Template]
    needs: tuple[str, ...] = ()
    when: Expression | None = None
    for_each: Expression | None = None
    max_concurrency: int = DEFAULT_CONCURRENCY
    retry: Retry | None = None
    on_error: OnError = OnError.FAIL
    handler: str | None = None
    handles: tuple[str, ...] = ()

    @property
    def after(self) -> tuple[str, ...]:
        return (*self.needs, *(step for step in self.handles if step not in self.needs))


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """Start a run for each event that matches `pattern`. A run gets `inputs` and the event as the input `event`."""

    pattern: Mapping[str, Any]
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScheduleTrigger:
    """Start a run at each time of `cron`. A run gets `inputs` and the time as the input `schedule`."""

    cron: str
    timezone: str
    inputs: Mapping[str, Any] = field(default_factory=dict)


class WebhookAuth(StrEnum):
    """How callers of a webhook prove who they are."""

    SIGNATURE = "signature"
    SECRET = "secret"  # noqa: S105  # a kind of authentication


@dataclass(frozen=True, slots=True)
class WebhookTrigger:
    """Start a run for each request to a webhook. `inputs` are the defaults of the run's inputs.

    With the authentication `signature`, callers sign what they post, and the posted body is the run's inputs. With
    `secret`, they send the webhook's secret, and the inputs are {method, query, headers, body}. The caller waits so
    many seconds for the answer of a step with the action webhook.answer, and not at all with 0.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    answer_within: int = 0
    auth: WebhookAuth = WebhookAuth.SIGNATURE


type Trigger = EventTrigger | ScheduleTrigger | WebhookTrigger


@dataclass(frozen=True, slots=True)
class Definition:
    """A validated workflow. `levels` are step ids: a level starts when every step of the previous level has ended."""

    name: str
    steps: Mapping[str, Step]
    levels: tuple[tuple[str, ...], ...]
    description: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    triggers: tuple[Trigger, ...] = ()
    timeout_seconds: int = 7 * 86_400

    @property
    def permissions(self) -> frozenset[str]:
        """Return the permissions that the principal of a run needs."""
        return frozenset(step.action.permission for step in self.steps.values() if step.action.permission)
