"""An action that a step can use, and its contract."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from email_sender.workflows.action_schemas import Schema


class ActionKind(StrEnum):
    TASK = "task"  # a Lambda function
    WAIT = "wait"  # a Wait state of the engine
    TRANSFORM = "transform"  # only expressions


@dataclass(frozen=True, slots=True)
class Action:
    """An action and its contract.

    `permission` is the permission that the run's principal needs ("" for none). `errors` are the error names that the
    action can fail with, besides those of every task (`invalid`, `forbidden`, `timeout`). A `callback` action completes
    by task token. `timeout_results` maps each value of `with.on_timeout` to the result of a step that timed out; the
    first entry is the default. Without entries, a timeout is an error. `timeout_grace_seconds`: how much later than the
    platform the engine ends the step.
    """

    name: str
    permission: str
    input_schema: Schema
    result_schema: Schema
    callback: bool = False
    default_timeout_seconds: int = 60
    description: str = ""
    kind: ActionKind = ActionKind.TASK
    timeout_results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    timeout_grace_seconds: int = 0
    errors: tuple[str, ...] = ()
    # Whether a step with this action may have for_each.
    allows_for_each: bool = True

    @property
    def all_errors(self) -> tuple[str, ...]:
        """Every error name of the action: the names that `retry.on` can match and that a failed step's result shows."""
        return (*self.errors, "invalid", "forbidden", "timeout") if self.kind is ActionKind.TASK else ()


class Catalogue:
    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions = {action.name: action for action in actions}

    def get(self, name: str) -> Action | None:
        return self._actions.get(name)

    def names(self) -> list[str]:
        return list(self._actions)

    def __iter__(self) -> Iterator[Action]:
        return iter(self._actions.values())
