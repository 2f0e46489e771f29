"""Call the function that runs nodes and code of n8n workflows. It has no rights."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, Field, ValidationError

from email_sender.adapters.aws.lambda_calls import LambdaFunction
from email_sender.errors import InvalidInput
from email_sender.packed_text import pack, unpack
from email_sender.storable_json import storable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# The nodes of one step. A call that is killed or hangs ends soon after.
NODE_SECONDS: Final = 20


class NodeRun(BaseModel):
    outputs: list[list[dict[str, Any]]] | None = None
    error: str | None = None


class Failure(BaseModel):
    node: str
    message: str


class Mail(BaseModel):
    """Mail that an agent wrote. Code of tenants ran beside it."""

    to: Annotated[str, Field(max_length=640)]
    subject: Annotated[str, Field(max_length=2_000)]
    text: Annotated[str, Field(max_length=20_000)]
    html: Annotated[str, Field(max_length=40_000)]


class CallersAnswer(BaseModel):
    """What the caller of the workflow's webhook gets (actions/webhook_answer.py)."""

    status: Annotated[int, Field(ge=200, le=599)]
    headers: Annotated[dict[str, str], Field(max_length=50)]
    body: str
    base64: bool


class Answer(BaseModel):
    """The runs of each node, and the failure that ended them; or the requests whose responses they need first.

    `mails` are for a person to approve. `answer` is for who called the webhook.
    """

    runs: dict[str, list[NodeRun]]
    error: Failure | None
    mails: Annotated[list[Mail], Field(max_length=200)] = Field(default_factory=list)
    answer: CallersAnswer | None = None
    requests: Annotated[list[Any], Field(min_length=1, max_length=1_000)] | None = None


class LambdaSandbox:
    def __init__(self, client: Callable[[], "LambdaClient"], function: str) -> None:
        self._function = LambdaFunction(client, function, "runs n8n nodes")

    def run(self, request: Mapping[str, Any]) -> Answer:
        """Run nodes (functions/sandbox/sandbox_lambda/js/workflow.js has the shape of the request).

        Raises:
            InvalidInput: the nodes took too long, used too much memory, or gave too much or no items.
            Unavailable: the function could not be called, or crashed.
        """
        packed = pack(json.dumps(request), "The nodes' items, with the responses to their requests,")
        answer = self._function.call({"request": packed, "seconds": NODE_SECONDS})
        return parse_answer(unpack(str(answer["result"])))


def parse_answer(text: str) -> Answer:
    """Parse what the sandbox answered. It ran code of tenants, so the answer may be anything."""
    try:
        # JSON of JavaScript may have lone surrogates and NUL, as escapes.
        return Answer.model_validate(storable(json.loads(text)))
    except ValidationError:
        raise InvalidInput("The nodes gave something else than items.") from None
