"""Call the function that runs nodes and code of n8n workflows. It has no rights."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from email_sender.adapters.aws.lambda_calls import LambdaFunction

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# The nodes of one step. A call that is killed or hangs ends soon after.
NODE_SECONDS: Final = 20


class LambdaSandbox:
    def __init__(self, client: Callable[[], "LambdaClient"], function: str) -> None:
        self._function = LambdaFunction(client, function, "runs n8n nodes")

    def run(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run nodes and return their runs and the error that ended them (functions/sandbox/sandbox_lambda/js).

        Raises:
            InvalidInput: the nodes took too long, used too much memory, or gave too much.
            Unavailable: the function could not be called, or crashed.
        """
        answer = self._function.call({"request": json.dumps(request), "seconds": NODE_SECONDS})
        return dict(json.loads(answer["result"]))
