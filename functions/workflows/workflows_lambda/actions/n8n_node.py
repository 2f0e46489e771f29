"""The action n8n.node: run nodes of an n8n workflow over items, as n8n does."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from email_sender.adapters.aws.lambda_sandbox import Answer, CallersAnswer
from email_sender.errors import InvalidInput
from email_sender.kit.tasks.call import JsonataList, TaskCall
from email_sender.workflows.triggers.answers import allowed_headers
from workflows_lambda.actions.n8n_requests import NodeRequests
from workflows_lambda.actions.step_items import loaded, with_references
from workflows_lambda.bootstrap import sandbox


def _as_item(value: Any) -> Any:
    """Return the item that n8n makes of what is no object, such as the text that a server answered."""
    return value if isinstance(value, dict) else {"data": value}


type Item = Annotated[dict[str, Any], BeforeValidator(_as_item)]


class GivenNode(BaseModel):
    """A node that ran before, with the items of each of its outputs."""

    model_config = ConfigDict(extra="forbid")

    node: str
    outputs: list[Annotated[list[Item], JsonataList]]


class ReturnedOutput(BaseModel):
    """An output whose items the step returns under `name`. Many `stored` ones are a reference in the result."""

    model_config = ConfigDict(extra="forbid")

    name: str
    node: str
    output: Annotated[int, Field(ge=0, lt=1_000)]
    stored: bool = False


class NodesIn(BaseModel):
    """`workflow` has n8n's nodes, connections and settings. `answers`: the caller of a webhook waits for an answer."""

    model_config = ConfigDict(extra="forbid")

    workflow: dict[str, Any]
    given: Annotated[list[GivenNode], JsonataList]
    returns: Annotated[list[ReturnedOutput], JsonataList]
    answers: bool = False


def run_nodes(call: TaskCall) -> Mapping[str, Any]:
    arguments = call.parse(NodesIn)
    outputs = loaded(call, [node.outputs for node in arguments.given])
    for node, lists in zip(arguments.given, outputs, strict=True):
        node.outputs = lists
    request = request_of(arguments, str(call.run_id)) | {"seed": call.idempotency_key().hex}
    answer = sandbox().run(request)
    if answer.requests is not None:
        requests = NodeRequests(call)
        request["now"] = int(requests.asked_at.timestamp() * 1000)
        answer = requests.run(lambda responses: sandbox().run(request | {"responses": responses}))
    result = result_of(arguments, answer)
    storable = {entry.name for entry in arguments.returns if entry.stored}
    return {**result, "items": with_references(call, result["items"], storable)}


def request_of(arguments: NodesIn, execution: str) -> dict[str, Any]:
    """Return what the sandbox gets."""
    given = [node.model_dump() for node in arguments.given]
    returns = sorted({entry.node for entry in arguments.returns})
    return {
        "workflow": arguments.workflow,
        "given": given,
        "execution": execution,
        "returns": returns,
        "answers": arguments.answers,
    }


def result_of(arguments: NodesIn, answer: Answer) -> Mapping[str, Any]:
    """Return the step's result. Raises InvalidInput if a node failed."""
    if answer.error is not None:
        raise InvalidInput(f"The node {answer.error.node!r} failed: {answer.error.message}")
    items = {entry.name: list(_items(answer, entry.node, entry.output)) for entry in arguments.returns}
    mails = [mail.model_dump() for mail in answer.mails]
    ran = list(answer.runs)
    with_items = [entry for entry in arguments.returns if items[entry.name] and entry.node in ran]
    # The stored result does not keep the order of its fields. A calling workflow gets what ran last.
    last = max(with_items, key=lambda entry: (ran.index(entry.node), -entry.output), default=None)
    is_one_of_several = last is not None and len(with_items) > 1
    return {
        "items": items,
        **({"last": last.name} if last is not None and is_one_of_several else {}),
        **({"mails": mails} if mails else {}),
        **({"answer": _answer(answer.answer)} if answer.answer is not None else {}),
    }


def _answer(answer: CallersAnswer) -> Mapping[str, Any]:
    """Return the answer without the headers that it cannot have, such as those of CORS: the platform's are sent."""
    return answer.model_dump() | {"headers": allowed_headers(answer.headers)}


def _items(answer: Answer, node: str, output: int) -> Iterator[Any]:
    """Yield the items that all runs of a node gave at an output."""
    for run in answer.runs.get(node, ()):
        if run.outputs is not None and output < len(run.outputs):
            yield from run.outputs[output]
