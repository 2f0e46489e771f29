"""Wrappers of data keys, as deployments have them."""

from pathlib import Path
from typing import Any

import boto3

from email_sender.adapters.aws.wrapping_keys import DynamoDbWrappingKeys
from email_sender.kit.environment import VaultSettings
from email_sender.kit.resources import key_wrapper
from email_sender.security.ports import KeyWrapper


def local_wrapper(key_file: Path) -> KeyWrapper:
    """Return the wrapper of a local cloud with this key file."""
    return key_wrapper(VaultSettings(stage="local", key_wrapper=f"file:{key_file}"))


def new_table(name: str) -> DynamoDbWrappingKeys:
    """Create the table of wrapping keys in moto."""
    client: Any = boto3.client("dynamodb", region_name="us-east-1")
    client.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "tenant_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "tenant_id", "KeyType": "HASH"}],
    )  # fmt: skip
    return DynamoDbWrappingKeys(lambda: client, name)
