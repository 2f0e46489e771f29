"""Maps each action to the Lambda function that runs it."""

import json
from collections.abc import Mapping
from typing import Final

# Function names are the keys of the template's variable WORKFLOW_FUNCTIONS.
FUNCTIONS: Final[Mapping[str, str]] = {
    "ai.generate": "workflows",
    "approval": "workflows",
    "contacts.select": "messaging",
    "contacts.update": "messaging",
    "email.send": "sender",
    "email.wait_for_reply": "workflows",
    "event.publish": "workflows",
    "http.request": "workflows",
    "http.wait_for_callback": "workflows",
    "n8n.node": "workflows",
    "run.finished": "hooks",
    "template.render": "messaging",
    "vectors.insert": "vectors",
    "vectors.search": "vectors",
    "webhook.answer": "workflows",
    "workflow.call": "workflows",
}


def targets(functions: str) -> Mapping[str, str]:
    """Return the ARN of each action. `functions` is JSON with each function's alias ARN; `{}` gives no targets."""
    arns: dict[str, str] = json.loads(functions)
    return {action: arns[name] for action, name in FUNCTIONS.items()} if arns else {}
