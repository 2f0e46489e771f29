"""Runs steps n8n.node in the sandbox's engine."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from email_sender.adapters.aws.lambda_sandbox import parse_answer
from email_sender.errors import InvalidInput
from sandbox_lambda import engine
from tests.fakes.state_machine import TaskError
from workflows_lambda.actions.n8n_node import NodesIn, request_of, result_of

# Returns the JSON that another system answers to a request of a node.
type AnswerRequest = Callable[[Mapping[str, Any]], Any]


def run_nodes(arguments: Mapping[str, Any], answer_request: AnswerRequest | None = None) -> Mapping[str, Any]:
    """Return the result of a step n8n.node. Raises TaskError if a node fails."""
    nodes, responses = NodesIn.model_validate(arguments), list[Mapping[str, Any]]()
    while True:
        request = request_of(nodes, "test") | {"responses": responses}
        answer = parse_answer(engine.run(json.dumps(request), 30))
        if answer.requests is None or answer_request is None:
            break
        # What a model or a memory is asked for has an answer that is none of HTTP.
        responses += [
            _response(answer_request(one)) if "url" in one else answer_request(one) for one in answer.requests
        ]
    try:
        return result_of(nodes, answer)
    except InvalidInput as error:
        raise TaskError("invalid", str(error)) from None


def _response(body: Any) -> Mapping[str, Any]:
    return {"status": 200, "headers": {"content-type": "application/json"}, "text": json.dumps(body)}
