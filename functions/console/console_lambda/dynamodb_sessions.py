"""Sessions in a DynamoDB table, which removes them some time after they ended. Implements sessions.SessionStore."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from console_lambda.sessions import StoredSession
from email_sender.adapters.aws.errors import translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_UNAVAILABLE = "The table of sessions did not respond."


class DynamoDbSessions:
    def __init__(self, client: Callable[[], "DynamoDBClient"], table: str) -> None:
        self._client, self._table = client, table

    def load(self, key: str) -> StoredSession | None:
        # A session that was just opened, or closed, must be seen.
        with translate_aws_errors(_UNAVAILABLE):
            found = self._client().get_item(TableName=self._table, Key={"session": {"S": key}}, ConsistentRead=True)
        if (item := found.get("Item")) is None:
            return None
        return StoredSession(bytes(item["sealed"]["B"]), float(item["expires"]["N"]))

    def add(self, key: str, session: StoredSession) -> None:
        with translate_aws_errors(_UNAVAILABLE):
            self._client().put_item(
                TableName=self._table,
                Item={
                    "session": {"S": key},
                    "sealed": {"B": session.sealed},
                    "expires": {"N": str(int(session.expires_at))},
                },
            )

    def replace(self, key: str, session: StoredSession) -> None:
        values = {":sealed": {"B": session.sealed}, ":expires": {"N": str(int(session.expires_at))}}
        self._update(key, "set sealed = :sealed, expires = :expires", values)

    def extend(self, key: str, expires_at: float) -> None:
        self._update(key, "set expires = :expires", {":expires": {"N": str(int(expires_at))}})

    def _update(self, key: str, update: str, values: Mapping[str, Any]) -> None:
        """Change a session unless it was deleted."""
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE):
            try:
                client.update_item(
                    TableName=self._table,
                    Key={"session": {"S": key}},
                    UpdateExpression=update,
                    ConditionExpression="attribute_exists(sealed)",
                    ExpressionAttributeValues=values,
                )
            except client.exceptions.ConditionalCheckFailedException:
                return

    def delete(self, key: str) -> None:
        with translate_aws_errors(_UNAVAILABLE):
            self._client().delete_item(TableName=self._table, Key={"session": {"S": key}})
