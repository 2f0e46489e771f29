"""A workflow definition: what people write, read into values that cannot be wrong.

Definitions are made by parsing.parse_definition, which reports every rule that is broken, with a pointer and a
sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from email_sender.workflows.catalogue import Action
from email_sender.workflows.expressions import Expression

# The compiled machine must stay under 1 MB and a run under 25,000 history events (both are Step Functions' limits). A
# step is 1 to 2 KB and about 5 events, 13 with a condition: 400 of them leave room for retries and for_each.
MAX_STEPS = 400
# An inline Map writes at least 7 events an item, so 2,000 items leave room for one retry of most. More is for a
# Distributed Map, which keeps a history of its own for each item.
MAX_ITEMS = 2_000
MAX_BYTES = 256 * 1024
MAX_CONCURRENCY = 40  # above it an inline Map is throttled by Step Functions
DEFAULT_CONCURRENCY = 10

ERRORS = ("throttled", "unavailable", "rejected", "invalid", "forbidden", "not_found", "timeout")
"""The names a task's error may have: what `retry.on` may list, and what a failed step's result says."""
RETRY_ON = ("throttled", "unavailable")

# JSON with Expressions as leaves.
type Template = bool | int | float | str | Expression | list[Template] | dict[str, Template] | None


class OnError(StrEnum):
    FAIL = "fail"
    CONTINUE = "continue"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Retry:
    """`max_attempts` counts the first try."""

    max_attempts: int = 3
    interval_seconds: int = 1
    backoff: float = 2.0
    on: tuple[str, ...] = RETRY_ON


@dataclass(frozen=True, slots=True)
class Step:
    """`handler` is the step that `on_error: {run: …}` names, else None.

    `handles` are the steps that name this one: it runs only if one of them failed, and comes after all of them.
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
    """`inputs` are given to each run, beside `event`."""

    pattern: Mapping[str, Any]
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScheduleTrigger:
    """`inputs` are given to each run, beside `schedule`."""

    cron: str
    timezone: str
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebhookTrigger:
    """What is posted is a run's inputs; `inputs` are there where it does not name them."""

    inputs: Mapping[str, Any] = field(default_factory=dict)


type Trigger = EventTrigger | ScheduleTrigger | WebhookTrigger


@dataclass(frozen=True, slots=True)
class Definition:
    """`levels` are step ids: a level starts when every step of the one before has ended."""

    name: str
    steps: Mapping[str, Step]
    levels: tuple[tuple[str, ...], ...]
    description: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    triggers: tuple[Trigger, ...] = ()
    timeout_seconds: int = 7 * 86_400

    @property
    def permissions(self) -> frozenset[str]:
        """What the principal of a run needs."""
        return frozenset(step.action.permission for step in self.steps.values() if step.action.permission)
