"""The function that reaches the world, called from inside."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound, RateLimited, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# As kit.tasks names them.
_ERRORS: Mapping[str, type[DomainError]] = {
    "throttled": RateLimited,
    "unavailable": Unavailable,
    "invalid": InvalidInput,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "rejected": Conflict,
}


class LambdaOutbound:
    def __init__(self, client: Callable[[], "LambdaClient"], function: str) -> None:
        self._client, self._function = client, function

    def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its answer.

        Raises:
            DomainError: as the function raised it; Unavailable where it could not be called, or died.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client().invoke(FunctionName=self._function, Payload=json.dumps(request).encode())
            said = json.loads(answer["Payload"].read())
        except (ClientError, BotoCoreError, ValueError):
            raise Unavailable("The function that sends requests did not answer.") from None
        if not answer.get("FunctionError"):
            return dict(said)
        kind = _ERRORS.get(str(said.get("errorType")))
        if kind is None:
            raise Unavailable("The function that sends requests failed.")
        raise kind(str(said.get("errorMessage", "")))
