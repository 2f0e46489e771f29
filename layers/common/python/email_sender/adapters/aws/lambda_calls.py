"""Call another function of the platform and wait for its answer."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from email_sender.adapters.aws.errors import translate_aws_errors
from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound, RateLimited, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# The error names of kit.tasks.
_ERRORS: Mapping[str, type[DomainError]] = {
    "throttled": RateLimited,
    "unavailable": Unavailable,
    "invalid": InvalidInput,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "rejected": Conflict,
}


class LambdaFunction:
    """`purpose` completes "The function that …" in messages."""

    def __init__(self, client: Callable[[], "LambdaClient"], function: str, purpose: str) -> None:
        self._client, self._function, self._name = client, function, f"The function that {purpose}"

    def call(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call the function and return its response.

        Raises:
            DomainError: the error that the function raised.
            Unavailable: the function could not be called, or crashed.
        """
        message = f"{self._name} did not respond."
        with translate_aws_errors(message):
            response = self._client().invoke(FunctionName=self._function, Payload=json.dumps(request).encode())
            body = response["Payload"].read()
        try:
            payload = json.loads(body)
        except ValueError:
            raise Unavailable(message) from None
        if not response.get("FunctionError"):
            return dict(payload)
        error_type = _ERRORS.get(str(payload.get("errorType")))
        if error_type is None:
            raise Unavailable(f"{self._name} failed.")
        raise error_type(str(payload.get("errorMessage", "")))
