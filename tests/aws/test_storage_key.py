"""A key of the account for what other services store (StorageKeys), and locked backups (BackupLock).

Which statement each service needs is from AWS's documentation: the pages on encryption at rest of SQS, SNS, EventBridge
(buses and archives), CloudWatch Logs, S3, DynamoDB and Step Functions.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from local.aws.evaluation import Json
from tests.aws.cloudformation import PARAMETERS, as_list, deployed

# Where each type of resource names its key.
KEY_OF: dict[str, tuple[str, ...]] = {
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::Events::EventBus": ("KmsKeyIdentifier",),
    "AWS::Events::Archive": ("KmsKeyIdentifier",),
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::S3::Bucket": (
        "BucketEncryption", "ServerSideEncryptionConfiguration", "0", "ServerSideEncryptionByDefault", "KMSMasterKeyID",
    ),
}  # fmt: skip
# SES cannot write with a KMS key of the account.
WITHOUT_KEY = {"Inbound"}
# Encrypted by the key that wraps the tenants' keys, in any case.
BY_THE_OTHER_KEY = {"Backups", "AuditRecords"}


@pytest.fixture(scope="module")
def resources() -> dict[str, Json]:
    return deployed(parameters={**PARAMETERS, "StorageKeys": "own", "BackupLock": "COMPLIANCE"})


@pytest.fixture(scope="module")
def statements(resources: dict[str, Json]) -> dict[str, Json]:
    policy = resources["StorageKey"]["Properties"]["KeyPolicy"]["Statement"]
    return {statement.get("Sid", "root"): statement for statement in policy}


def key_of(resource: Json) -> Any:
    found: Any = resource["Properties"]
    for part in KEY_OF[resource["Type"]]:
        found = found[int(part)] if isinstance(found, list) else found.get(part, {})
    return found or None


def test_everything_that_stores_something_has_the_key(resources: dict[str, Json]) -> None:
    stores = {name: resource for name, resource in resources.items() if resource["Type"] in KEY_OF}
    assert len(stores) > 35
    keys = {name: key_of(resource) for name, resource in stores.items()}
    assert {name for name, key in keys.items() if key is None} == WITHOUT_KEY
    assert {name for name, key in keys.items() if key and "StorageKey" not in key} == BY_THE_OTHER_KEY
    queues = [one["Properties"] for one in stores.values() if one["Type"] == "AWS::SQS::Queue"]
    assert not any("SqsManagedSseEnabled" in queue for queue in queues), "SQS takes one kind of encryption"


def test_without_the_parameter_keys_of_aws_are_used() -> None:
    resources = deployed()
    assert "StorageKey" not in resources
    assert "StorageKey" not in str(resources)
    queues = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::SQS::Queue"]
    assert all(queue["SqsManagedSseEnabled"] for queue in queues)


def services_that_write(resources: dict[str, Json]) -> Iterator[str]:
    """Yield the services that put something into an encrypted queue, topic, archive or log without a role of ours."""
    for resource in resources.values():
        kind, properties = resource["Type"], resource["Properties"]
        if kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
            for statement in properties["PolicyDocument"]["Statement"]:
                yield from as_list(statement["Principal"].get("Service", []))
        elif kind == "AWS::CloudWatch::Alarm" and properties.get("AlarmActions"):
            yield "cloudwatch.amazonaws.com"
        elif kind == "AWS::Events::Archive":
            yield "events.amazonaws.com"


def test_services_that_write_without_a_role_may_use_the_key(
    resources: dict[str, Json], statements: dict[str, Json]
) -> None:
    publishers = statements["Publishers"]
    assert set(services_that_write(resources)) == set(publishers["Principal"]["Service"])
    # EventBridge sends no aws:SourceAccount to encrypted topics: a condition on it would lose events.
    assert "Condition" not in publishers
    assert {"kms:Decrypt", "kms:GenerateDataKey*"} <= set(publishers["Action"])
    logs = statements["Logs"]
    assert logs["Principal"] == {"Service": "logs.eu-west-1.amazonaws.com"}
    assert logs["Condition"]["ArnLike"] == {
        "kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-west-1:111122223333:log-group:*"
    }


def test_only_this_account_uses_the_key_through_services(statements: dict[str, Json]) -> None:
    for name, statement in statements.items():
        if statement["Principal"] == {"AWS": "*"}:
            assert statement["Condition"]["StringEquals"]["kms:CallerAccount"] == "111122223333", name
    services = statements["ThroughServicesOfThisAccount"]["Condition"]["StringEquals"]["kms:ViaService"]
    assert set(services) == {f"{name}.eu-west-1.amazonaws.com" for name in ("sqs", "sns", "s3", "dynamodb")}


def test_histories_of_runs_have_the_key(resources: dict[str, Json], statements: dict[str, Json]) -> None:
    """Functions that make state machines name the key, and the machines' role may use it."""
    pattern = statements["HistoriesOfRuns"]["Condition"]["ArnLike"]["kms:EncryptionContext:aws:states:stateMachineArn"]
    makers = [
        resource["Properties"]["Environment"]["Variables"]
        for resource in resources.values()
        if resource["Type"] == "AWS::Lambda::Function"
        and resource["Properties"]["Environment"]["Variables"].get("MACHINE_ROLE_ARN")
    ]
    assert len(makers) == 3
    for variables in makers:
        assert "StorageKey" in variables["STORAGE_KEY_ARN"]
        machine = f"{variables['STATES_ARN_PREFIX']}:stateMachine:{variables['MACHINE_PREFIX']}-a1b2-v1"
        assert fnmatchcase(machine, pattern)
    # With kms:ViaService, a running execution would fail: Step Functions uses the key as the machine's role.
    assert "kms:ViaService" not in str(statements["HistoriesOfRuns"])


def test_the_functions_may_change_rules_of_the_encrypted_bus(
    resources: dict[str, Json], statements: dict[str, Json]
) -> None:
    context = statements["RulesOfTheBus"]["Condition"]["StringEquals"]["kms:EncryptionContext:aws:events:event-bus:arn"]
    assert context.endswith(f":event-bus/{resources['Bus']['Properties']['Name']}")
    # What cannot be encrypted or decrypted is kept here.
    assert resources["Bus"]["Properties"]["DeadLetterConfig"]["Arn"]


def test_backups_can_be_locked_as_long_as_they_are_kept(resources: dict[str, Json]) -> None:
    backups = resources["Backups"]["Properties"]
    assert backups["ObjectLockEnabled"] is True
    assert backups["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {"Mode": "COMPLIANCE", "Days": 35}
    assert backups["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "ObjectLockConfiguration" not in deployed()["Backups"]["Properties"]
