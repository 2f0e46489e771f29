"""The store of token buckets: the one in memory that unit tests use, and DynamoDB's."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from email_sender.adapters.aws.dynamodb_buckets import DynamoDbBuckets
from email_sender.errors import Unavailable
from email_sender.security.rate_limits import Bucket, BucketStore, Limit
from tests.unit.security.test_rate_limits import MemoryBuckets

NOW = 1_795_000_000.0
BUCKET = Bucket(Limit("client", 600, 60), "ann")


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Iterator[BucketStore]:
    if request.param == "memory":
        yield MemoryBuckets()
        return
    with mock_aws():
        yield DynamoDbBuckets(new_table(), "limits")


def new_table() -> Callable[[], Any]:
    client = boto3.client("dynamodb", region_name="us-east-1")
    client.create_table(
        TableName="limits", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "bucket", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "bucket", "KeyType": "HASH"}],
    )  # fmt: skip
    return lambda: client


def test_a_new_bucket_is_full_and_is_emptied(store: BucketStore) -> None:
    assert store.take(BUCKET, 10, NOW).left == 50
    assert store.take(BUCKET, 50, NOW).left == 0
    refused = store.take(BUCKET, 1, NOW)
    assert refused.left == 0
    assert refused.wait == pytest.approx(0.1, abs=0.001)
    assert store.take(BUCKET, 20, NOW).wait == pytest.approx(2.0, abs=0.001)


def test_tokens_come_in_with_time_up_to_the_burst(store: BucketStore) -> None:
    store.take(BUCKET, 60, NOW)
    assert store.take(BUCKET, 10, NOW + 1).wait == 0
    assert store.take(BUCKET, 1, NOW + 1).wait > 0
    # After a long pause the bucket is full, and not fuller.
    assert store.take(BUCKET, 1, NOW + 3_600).left == 59


def test_buckets_are_apart(store: BucketStore) -> None:
    store.take(BUCKET, 60, NOW)
    assert store.take(Bucket(BUCKET.limit, "bob"), 60, NOW).wait == 0


def test_two_processes_share_a_bucket_whichever_update_they_try_first() -> None:
    with mock_aws():
        client = new_table()
        first, second = DynamoDbBuckets(client, "limits"), DynamoDbBuckets(client, "limits")
        assert first.take(BUCKET, 40, NOW).left == 20
        # The second one believes that the bucket is new.
        assert second.take(BUCKET, 20, NOW).left == 0
        assert first.take(BUCKET, 1, NOW).wait > 0
        # The first one believes that it is still filling up.
        assert first.take(BUCKET, 60, NOW + 3_600).left == 0
        (item,) = client().scan(TableName="limits")["Items"]
        assert int(item["expires"]["N"]) > NOW + 3_600


def test_a_missing_table_is_unavailable() -> None:
    with mock_aws(), pytest.raises(Unavailable):
        DynamoDbBuckets(lambda: boto3.client("dynamodb", region_name="us-east-1"), "none").take(BUCKET, 1, NOW)
