"""Runs steps n8n.node in the sandbox's engine."""

import json
from collections.abc import Mapping
from typing import Any

from email_sender.adapters.aws.lambda_sandbox import parse_answer
from email_sender.errors import InvalidInput
from sandbox_lambda import engine
from tests.fakes.state_machine import TaskError
from workflows_lambda.actions.n8n_node import NodesIn, request_of, result_of


def run_nodes(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the result of a step n8n.node. Raises TaskError if a node fails."""
    nodes = NodesIn.model_validate(arguments)
    answer = parse_answer(engine.run(json.dumps(request_of(nodes, "test")), 30))
    try:
        return result_of(nodes, answer)
    except InvalidInput as error:
        raise TaskError("invalid", str(error)) from None
