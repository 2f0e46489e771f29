"""Token buckets in a DynamoDB table. Implements security.rate_limits.BucketStore.

An item has one number, `full_at`: when its bucket will be full again, in microseconds of Unix time. Taking tokens moves
it into the future, by one conditional update. (The generic cell rate algorithm: a token bucket without refills.)
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from email_sender.adapters.aws.errors import translate_aws_errors
from email_sender.security.rate_limits import Bucket, Taken

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MICROSECONDS = 1_000_000
# DynamoDB removes a bucket some time after it was full.
_KEPT_SECONDS = 600
_UNAVAILABLE = "The table of limits did not respond."
# The bucket is filling up; or it is full, or new.
_FILLING = ("full_at > :now and full_at <= :latest", "set full_at = full_at + :cost, expires = :expires")
_FULL = ("attribute_not_exists(full_at) or full_at <= :now", "set full_at = :now + :cost, expires = :expires")


class DynamoDbBuckets:
    def __init__(self, client: Callable[[], "DynamoDBClient"], table: str) -> None:
        self._client, self._table = client, table
        # Tells which of the two updates to try first.
        self._full_at: dict[str, int] = {}

    def take(self, bucket: Bucket, tokens: int, now: float) -> Taken:
        now_us = int(now * _MICROSECONDS)
        each = 60 * _MICROSECONDS // bucket.limit.per_minute
        capacity, cost = each * bucket.limit.burst, each * tokens
        updates = (_FILLING, _FULL) if self._full_at.get(bucket.key, 0) > now_us else (_FULL, _FILLING)
        full_at = now_us
        for condition, update in updates:
            values = {":now": now_us, ":cost": cost}
            if condition is _FILLING[0]:
                values[":latest"] = now_us + capacity - cost
            was_taken, full_at = self._update(bucket, condition, update, values, int(now) + _KEPT_SECONDS)
            self._remember(bucket.key, full_at)
            if was_taken:
                return Taken(max(0, (now_us + capacity - full_at) // each))
        return Taken(0, max(0.001, (full_at - (now_us + capacity - cost)) / _MICROSECONDS))

    def _update(
        self, bucket: Bucket, condition: str, update: str, values: dict[str, int], expires: int
    ) -> tuple[bool, int]:
        """Return whether the update was made, and `full_at` after it, or as it is."""
        numbers: dict[str, Any] = {name: {"N": str(value)} for name, value in {**values, ":expires": expires}.items()}
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE):
            try:
                response = client.update_item(
                    TableName=self._table,
                    Key={"bucket": {"S": bucket.key}},
                    ConditionExpression=condition,
                    UpdateExpression=update,
                    ExpressionAttributeValues=numbers,
                    ReturnValues="UPDATED_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except client.exceptions.ConditionalCheckFailedException as error:
                item: Any = error.response.get("Item", {})
                return False, int(item.get("full_at", {}).get("N", values[":now"]))
        return True, int(response["Attributes"]["full_at"]["N"])

    def _remember(self, key: str, full_at: int) -> None:
        if len(self._full_at) >= 1_000:
            self._full_at.clear()
        self._full_at[key] = full_at
