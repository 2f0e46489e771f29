"""Tenants' wrapping keys in a DynamoDB table. Implements security.ports.WrappingKeys."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.adapters.aws.errors import translate_aws_errors
from email_sender.errors import KeyDestroyed, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_UNAVAILABLE = "The table of wrapping keys did not respond."


class DynamoDbWrappingKeys:
    """An item has the key in `wrapped`. After its destruction the item stays, without the key."""

    def __init__(self, client: Callable[[], "DynamoDBClient"], table: str) -> None:
        self._client, self._table = client, table

    def get(self, tenant_id: UUID) -> bytes | None:
        with translate_aws_errors(_UNAVAILABLE):
            # Consistent, so that a key that another function has just added is found, and a destroyed one is not.
            response = self._client().get_item(TableName=self._table, Key=_key(tenant_id), ConsistentRead=True)
        item = response.get("Item")
        return None if item is None else _wrapped(item)

    def add(self, tenant_id: UUID, wrapped: bytes) -> bytes:
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE):
            try:
                client.put_item(
                    TableName=self._table,
                    Item={**_key(tenant_id), "wrapped": {"B": wrapped}},
                    ConditionExpression="attribute_not_exists(tenant_id)",
                )
            except client.exceptions.ConditionalCheckFailedException:
                pass
            else:
                return wrapped
        stored = self.get(tenant_id)
        if stored is None:
            raise Unavailable(_UNAVAILABLE)
        return stored

    def destroy(self, tenant_id: UUID) -> None:
        with translate_aws_errors(_UNAVAILABLE):
            self._client().put_item(TableName=self._table, Item={**_key(tenant_id), "destroyed": {"BOOL": True}})


def _key(tenant_id: UUID) -> dict[str, Any]:
    return {"tenant_id": {"S": str(tenant_id)}}


def _wrapped(item: Any) -> bytes:
    if "wrapped" not in item:
        raise KeyDestroyed("The tenant was deleted, and its key was destroyed.")
    return bytes(item["wrapped"]["B"])
