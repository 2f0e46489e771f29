"""Every call of AWS that functions made in the end-to-end tests, compared with the rights of their deployed roles.

moto's evaluator of IAM policies decides; it knows nothing of this project.
"""

import json
from collections import defaultdict
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from moto.iam.access_control import IAMPolicyStatement, PermissionResult

from tests.aws.calls import Json, Need, needs
from tests.aws.cloudformation import as_list, deployed, functions_of, statements_of
from tests.conftest import AWS_CALLS, Platform

pytestmark = pytest.mark.reads_calls

REGION, ACCOUNT = "us-east-1", "000000000000"
# With fewer functions in the record, only some of the end-to-end tests ran.
MOST_FUNCTIONS = 30

# A sample event names it, and expects to be refused.
NOBODYS_BUCKET = "arn:aws:s3:::email-sender-local-no-backups"

# Rights that the local cloud cannot show to be used, with the reason.
NOT_USED_LOCALLY = {
    "bedrock:InvokeModel": "the local models are the bundled one and an OpenAI-compatible one",
    "dynamodb:GetItem": "the local wrapping keys of tenants are files",
    "dynamodb:PutItem": "the local wrapping keys of tenants are files",
    "kms:Decrypt": "the local key is a file",
    "kms:Encrypt": "the local key is a file",
    "kms:GenerateDataKey": "the local key is a file",
    "s3:AbortMultipartUpload": "only an interrupted upload is aborted",
    "s3:ListBucket": "needed so that a missing object is a 404",
    "scheduler:UpdateSchedule": "a trigger's schedule changes only if a publication was interrupted",
    "sqs:SendMessage": "only a message that failed for the last time goes to the dead letters",
    "states:StopExecution": "only a cancelled run is stopped",
}


@pytest.fixture(scope="module")
def recorded(platform: Platform) -> list[Json]:
    path = platform.cloud.layout.home / AWS_CALLS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class DeployedRights:
    """The statements of each deployed function's role."""

    def __init__(self, platform: Platform) -> None:
        self._lambda, self._iam = platform.aws("lambda"), platform.aws("iam")
        self._statements = cache(self._read_statements)

    def allows(self, function: str, need: Need) -> bool:
        return any(self._permits(statement, need) for statement in self._statements(function))

    def _permits(self, statement: Json, need: Need) -> bool:
        conditions = dict(statement.get("Condition", {}))
        context = dict(need.context)
        if mapping := context.pop("mapping", None):
            context["lambda:FunctionArn"] = self._lambda.get_event_source_mapping(UUID=mapping)["FunctionArn"]
        # moto accepts every value for these two operators.
        for operator in ("StringLike", "ArnLike"):
            for key, patterns in conditions.pop(operator, {}).items():
                if not any(fnmatchcase(context.get(key, ""), pattern) for pattern in as_list(patterns)):
                    return False
        reduced = {**statement, "Condition": conditions}
        result = IAMPolicyStatement(reduced).is_action_permitted(need.action, need.resource, None, context)
        return bool(result is PermissionResult.PERMITTED)

    def _read_statements(self, function: str) -> list[Json]:
        role = self._lambda.get_function_configuration(FunctionName=function)["Role"].rpartition("/")[2]
        names = self._iam.list_role_policies(RoleName=role)["PolicyNames"]
        documents = [self._iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
        return [statement for document in documents for statement in as_list(document["Statement"])]


def test_every_call_was_allowed(platform: Platform, recorded: list[Json]) -> None:
    assert recorded, "The functions recorded no call."
    rights = DeployedRights(platform)
    refused = set()
    for call in recorded:
        for need in needs(call["service"], call["operation"], call["params"], REGION, ACCOUNT):
            if not need.resource.startswith(NOBODYS_BUCKET) and not rights.allows(call["function"], need):
                refused.add((call["function"], need.action, need.resource, *need.context.values()))
    assert sorted(refused) == []


def test_every_right_was_used(platform: Platform, recorded: list[Json]) -> None:
    """A right that no test uses is removed, or has a reason in NOT_USED_LOCALLY."""
    used: dict[str, set[str]] = defaultdict(set)
    for call in recorded:
        for need in needs(call["service"], call["operation"], call["params"], REGION, ACCOUNT):
            used[call["function"]].add(need.action)
    if len(used) < MOST_FUNCTIONS:
        pytest.skip(f"Only {len(used)} functions were called: this needs all end-to-end tests.")
    resources = deployed()
    unused = {}
    for name in functions_of(resources):
        granted = {action for statement in statements_of(name, resources) for action in as_list(statement["Action"])}
        left = granted - used[platform.function_name(name)] - set(NOT_USED_LOCALLY) - UNUSED.get(name, set())
        if left:
            unused[name] = sorted(left)
    assert unused == {}


# Rights for what no end-to-end test makes these functions do: interrupted work, and failures. Functional tests of the
# same code cover it, without AWS.
UNUSED: dict[str, set[str]] = {
    # The local cloud has no CodeDeploy.
    "PreTrafficFunction": {
        "codedeploy:GetDeployment", "codedeploy:PutLifecycleEventHookExecutionStatus", "lambda:InvokeFunction",
    },
    # An import that found its execution, or lost it; a job likewise.
    "VectorsFunction": {"states:DescribeExecution"},
    "ImportStartFunction": {"states:DescribeExecution"},
    "ImportSweepFunction": {"s3:DeleteObject", "states:DescribeExecution", "states:StartExecution"},
    # Mail that answers an email, or whose receipt names no version of the stored object.
    "MailboxImportChunkFunction": {"events:PutEvents"},
    "InboundMailFunction": {"s3:GetObject", "ssm:GetParameter"},
    # Several temporary bounces of one address.
    "MailEventsFunction": {"ssm:GetParameter"},
    # Files of vectors are imported in the functional tests, from a bucket of their own.
    "VectorsImportPlanFunction": {"events:PutEvents", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"},
    "VectorsImportChunkFunction": {"events:PutEvents", "s3:GetObject", "s3:GetObjectVersion"},
    # `make drill` restores, in a cloud of its own.
    "MigrateFunction": {"s3:GetObject"},
    "RestorePointsFunction": {"s3:GetObject", "secretsmanager:GetSecretValue"},
    # Webhooks of operators, and notifications that failed before.
    "NotificationsFunction": {"lambda:InvokeFunction"},
    "NotificationSweepFunction": {"lambda:InvokeFunction", "ses:SendRawEmail"},
    # Waits that ended by a failure, and runs whose start or end was interrupted.
    "WorkflowsTasksFunction": {"states:SendTaskSuccess"},
    "WorkflowsFunction": {"states:DescribeExecution", "states:SendTaskFailure", "states:UpdateStateMachine"},
    "ExecutionEventsFunction": {"events:PutEvents", "states:SendTaskFailure", "states:SendTaskSuccess"},
    # The sweep may find the outcome before the queue delivers it.
    "EmailOutcomesFunction": {"events:PutEvents", "states:SendTaskFailure", "states:SendTaskSuccess"},
    "TriggerInvocationsFunction": {
        "iam:PassRole", "states:CreateStateMachine", "states:DescribeExecution", "states:SendTaskFailure",
        "states:SendTaskSuccess", "states:UpdateStateMachine",
    },
    "WorkflowsSweepFunction": {
        "events:DeleteRule", "events:PutEvents", "events:PutRule", "events:PutTargets", "events:RemoveTargets",
        "iam:PassRole", "scheduler:CreateSchedule", "scheduler:DeleteSchedule", "states:CreateStateMachine",
        "states:SendTaskFailure", "states:StartExecution", "states:UpdateStateMachine",
    },
    # Rotations that are due.
    "KeyRotationFunction": {"states:DescribeExecution", "states:StartExecution"},
    # A deployment that enabled the event sources of a stopped manager, and events that the bus had refused.
    "ObserveFunction": {"lambda:UpdateEventSourceMapping"},
    "RelayFunction": {"events:PutEvents"},
}  # fmt: skip

BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/"


@pytest.mark.parametrize(
    ("action", "bus", "source", "is_allowed"),
    [
        ("events:PutEvents", "ours", "email_sender.messaging", True),
        ("events:PutEvents", "ours", "crm", False),
        ("events:PutEvents", "another", "email_sender.messaging", False),
        ("events:DeleteRule", "ours", "email_sender.messaging", False),
    ],
)
def test_a_missing_right_would_be_found(action: str, bus: str, source: str, *, is_allowed: bool) -> None:
    rights: Any = DeployedRights.__new__(DeployedRights)
    statement = {
        "Effect": "Allow",
        "Action": "events:PutEvents",
        "Resource": BUS + "ours",
        "Condition": {"StringLike": {"events:source": "email_sender.*"}},
    }
    assert rights._permits(statement, Need(action, BUS + bus, {"events:source": source})) is is_allowed
