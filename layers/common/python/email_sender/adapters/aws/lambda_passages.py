"""Call the function that searches vectors, for passages with their texts."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.adapters.aws.lambda_calls import LambdaFunction

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class LambdaPassages:
    def __init__(self, client: Callable[[], "LambdaClient"], function: str) -> None:
        self._function = LambdaFunction(client, function, "searches vectors")

    def find(self, tenant_id: UUID, collection: str, text: str, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the passages that a text finds: {text, metadata, score}, the best first.

        Raises:
            DomainError: the error that the function raised.
            Unavailable: the function could not be called, or crashed.
        """
        request = {
            "kind": "passages", "tenant_id": str(tenant_id), "collection": collection, "text": text, "limit": limit
        }  # fmt: skip
        return list(self._function.call(request)["passages"])
