"""Which function does which action."""

import json
from collections.abc import Mapping
from typing import Final

# The function of each action, by the name that the template gives it in WORKFLOW_FUNCTIONS.
FUNCTIONS: Final[Mapping[str, str]] = {
    "ai.generate": "workflows",
    "approval": "workflows",
    "contacts.select": "messaging",
    "contacts.update": "messaging",
    "email.send": "sender",
    "email.wait_for_reply": "workflows",
    "event.publish": "workflows",
    "http.request": "workflows",
    "run.finished": "hooks",
    "template.render": "messaging",
    "vectors.insert": "vectors",
    "vectors.search": "vectors",
    "workflow.call": "workflows",
}


def targets(functions: str) -> Mapping[str, str]:
    """Action to ARN, of `functions`: JSON of each function's alias. Empty where this function registers no machines."""
    arns: dict[str, str] = json.loads(functions)
    return {action: arns[name] for action, name in FUNCTIONS.items()} if arns else {}
