"""Decide which work of an ended run is reused by the run that resumes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from email_sender.workflows.action_model import ActionKind
from email_sender.workflows.definition.model import Definition, Step
from email_sender.workflows.model import StepRecord, StepStatus


@dataclass(frozen=True, slots=True)
class ResumePlan:
    """The work that a resumed run reuses.

    `steps` are the steps whose successful results (of all or some items) are copied. `passed` are `wait` steps that
    have already ended.
    """

    steps: Sequence[str] = ()
    passed: Sequence[str] = ()


def plan_resume(
    before: Mapping[str, Any], after: Mapping[str, Any], definition: Definition, records: Sequence[StepRecord]
) -> ResumePlan:
    """Compare the earlier run's definition and records with the new definition and return the work to reuse.

    `before` is the raw definition of the earlier run, `after` that of the new run, and `definition` is `after` parsed.

    A step runs again if it failed, was not reached or its definition changed, and so does every step after it. If only
    some items of a for_each step failed, the results of the other items are reused.
    """
    reached_steps = {record.step for record in records}
    failed_steps = {record.step for record in records if record.status is not StepStatus.SUCCEEDED}
    deepest_level = max(
        (index for index, row in enumerate(definition.levels) if reached_steps.intersection(row)), default=-1
    )
    old, new = _steps(before), _steps(after)
    rerun_steps: set[str] = set()
    steps, passed = [], []
    for level, row in enumerate(definition.levels):
        for step in (definition.steps[name] for name in row):
            is_unchanged = old.get(step.id) == new[step.id] and not rerun_steps.intersection(step.after)
            if (
                not is_unchanged
                or step.id in failed_steps
                or _was_never_reached(step, reached_steps, level, deepest_level)
            ):
                rerun_steps.add(step.id)
            if is_unchanged and step.id in reached_steps:
                steps.append(step.id)
            if step.action.kind is ActionKind.WAIT and step.id not in rerun_steps and level < deepest_level:
                passed.append(step.id)
    return ResumePlan(steps, passed)


def _was_never_reached(step: Step, reached_steps: set[str], level: int, deepest_level: int) -> bool:
    """Return whether the step never started. Before the deepest level, a missing record means skipped or inline."""
    return step.id not in reached_steps and level >= deepest_level


def _steps(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {str(step["id"]): step for step in definition["steps"]}
