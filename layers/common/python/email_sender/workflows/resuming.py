"""What of a run that ended need not be done again by the one that goes on from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from email_sender.workflows.catalogue import Kind
from email_sender.workflows.definition import Definition, Step
from email_sender.workflows.model import StepRecord, StepStatus


@dataclass(frozen=True, slots=True)
class Kept:
    """`steps` keep what they succeeded in, item by item; `passed` are waits that are over."""

    steps: Sequence[str] = ()
    passed: Sequence[str] = ()


def kept(
    before: Mapping[str, Any], after: Mapping[str, Any], definition: Definition, records: Sequence[StepRecord]
) -> Kept:
    """What a run of `after` (read as `definition`) takes over from one of `before` that left these records.

    A step is done again where it failed, was not reached, or is written differently now, and so is all that comes after
    such a step. Of a for_each that is done again only for its failed items, the others are kept.
    """
    reached = {record.step for record in records}
    failed = {record.step for record in records if record.status is not StepStatus.SUCCEEDED}
    deepest = max((n for n, row in enumerate(definition.levels) if reached.intersection(row)), default=-1)
    old, new = _steps(before), _steps(after)
    again: set[str] = set()
    steps, passed = [], []
    for level, row in enumerate(definition.levels):
        for step in (definition.steps[name] for name in row):
            same = old.get(step.id) == new[step.id] and not again.intersection(step.after)
            if not same or step.id in failed or _unreached(step, reached, level, deepest):
                again.add(step.id)
            if same and step.id in reached:
                steps.append(step.id)
            if step.action.kind is Kind.WAIT and step.id not in again and level < deepest:
                passed.append(step.id)
    return Kept(steps, passed)


def _unreached(step: Step, reached: set[str], level: int, deepest: int) -> bool:
    """Whether it never began; one before the last that did was skipped, or leaves no record."""
    return step.id not in reached and level >= deepest


def _steps(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {str(step["id"]): step for step in definition["steps"]}
