"""What a run that another workflow called gives to the caller's nodes."""

from collections.abc import Mapping
from typing import Any

from email_sender.workflows.model import RunDetail, RunStatus, StepStatus


def result_of_run(detail: RunDetail) -> Mapping[str, Any]:
    """Return {items} of a run that succeeded, or {error}.

    As in n8n, the items are those of what ran last. A step that ran nodes gives those of its last node with items, or a
    reference to them, or none. Another step gives its result.
    """
    if detail.run.status is not RunStatus.SUCCEEDED:
        message = (detail.run.error or {}).get("message") or "no reason was recorded"
        return {"error": f"The workflow has {detail.run.status.replace('_', ' ')}: {message}"}
    # Steps that only compute values have no action. They are recorded when the run ends.
    ended = [step for step in detail.steps if step.status is StepStatus.SUCCEEDED and step.action and step.finished_at]
    for step in sorted(ended, key=lambda step: (step.finished_at, step.item), reverse=True):
        result = step.result or {}
        if step.action != "n8n.node":
            return {"items": [result]}
        if isinstance(returned := result.get("items"), Mapping) and returned:
            outputs = {name: items for name, items in returned.items() if items}
            items = outputs.get(str(result.get("last")), next(iter(outputs.values()), []))
            return {"items": items if isinstance(items, list) else [items]}
    return {"items": []}
