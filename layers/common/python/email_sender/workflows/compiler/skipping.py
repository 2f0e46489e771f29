"""Decide which steps may be skipped, and build the condition under which each step runs.

A step is skipped if its `when` is false, or if all the steps that it needs were skipped (one that ran is enough). A
step that handles errors is skipped if none of its errors happened. A step that failed and passed its error to a handler
counts as skipped for the steps that need it.
"""

from collections.abc import Mapping

from email_sender.workflows.compiler.asl import variable_name
from email_sender.workflows.definition.model import Definition, OnError, Step


class Conditions:
    def __init__(self, definition: Definition) -> None:
        self._steps: Mapping[str, Step] = definition.steps
        self._may_skip: dict[str, bool] = {}
        for row in definition.levels:
            for name in row:
                step = self._steps[name]
                self._may_skip[name] = step.when is not None or self.run_condition(step) is not None

    def run_condition(self, step: Step) -> str | None:
        """Return JSONata over the statuses of earlier steps, or None if only `when` can skip the step."""
        if step.handles:
            return " or ".join(f"${variable_name('status', name)} = 'failed'" for name in step.handles)
        if not step.needs or not all(self._may_count_as_skipped(name) for name in step.needs):
            return None
        return " or ".join(self._ran_condition(name) for name in step.needs)

    def _may_count_as_skipped(self, name: str) -> bool:
        return self._may_skip[name] or self._steps[name].on_error is OnError.RUN

    def _ran_condition(self, name: str) -> str:
        status = f"${variable_name('status', name)}"
        return f"{status} = 'succeeded'" if self._steps[name].on_error is OnError.RUN else f"{status} != 'skipped'"
