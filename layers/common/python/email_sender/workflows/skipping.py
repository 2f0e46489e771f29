"""Which steps may be skipped, and the condition under which each runs.

A step is skipped when its `when` is false, when all it needs was skipped (one that ran is enough), or, if it handles
errors, when none of them happened. A step that failed and sent its error to a handler feeds nothing else: for the steps
that need it, it counts as skipped.
"""

from collections.abc import Mapping

from email_sender.workflows.asl import variable
from email_sender.workflows.definition import Definition, OnError, Step


class Conditions:
    def __init__(self, definition: Definition) -> None:
        self._steps: Mapping[str, Step] = definition.steps
        self._may_skip: dict[str, bool] = {}
        for row in definition.levels:
            for name in row:
                step = self._steps[name]
                self._may_skip[name] = step.when is not None or self.to_run(step) is not None

    def to_run(self, step: Step) -> str | None:
        """JSONata over the statuses of the steps before, or None where nothing but `when` can skip it."""
        if step.handles:
            return " or ".join(f"${variable('status', name)} = 'failed'" for name in step.handles)
        if not step.needs or not all(self._may_feed_nothing(name) for name in step.needs):
            return None
        return " or ".join(self._fed_by(name) for name in step.needs)

    def _may_feed_nothing(self, name: str) -> bool:
        return self._may_skip[name] or self._steps[name].on_error is OnError.RUN

    def _fed_by(self, name: str) -> str:
        status = f"${variable('status', name)}"
        return f"{status} = 'succeeded'" if self._steps[name].on_error is OnError.RUN else f"{status} != 'skipped'"
