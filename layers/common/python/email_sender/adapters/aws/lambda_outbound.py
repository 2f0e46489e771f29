"""Call the function that sends requests to the internet. It runs outside the VPC."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from email_sender.adapters.aws.lambda_calls import LambdaFunction

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class LambdaOutbound:
    def __init__(self, client: Callable[[], "LambdaClient"], function: str) -> None:
        self._function = LambdaFunction(client, function, "sends outbound requests")

    def send_request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request and return the response.

        Raises:
            DomainError: the error that the function raised.
            Unavailable: the function could not be called, or crashed.
        """
        return self._function.call(request)
