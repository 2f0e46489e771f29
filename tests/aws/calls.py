"""Which right each recorded call of an AWS API needs: its action, its resource, and the values that conditions test.

From the service authorization reference of each service (docs.aws.amazon.com/service-authorization).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

type Json = dict[str, Any]


@dataclass(frozen=True)
class Need:
    """What a call needs. Resource "*" stands for an action that accepts no resource."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)


class UnknownCall(LookupError):
    """No rule says which right a call needs. Add it to calls.py."""


# Actions that accept no resource, by service and operation.
_WITHOUT_RESOURCE = {
    ("cloudwatch", "ListMetrics"), ("cloudwatch", "GetMetricData"), ("cloudwatch", "GetMetricStatistics"),
    ("cloudwatch", "ListDashboards"),
    ("events", "ListRules"),
    ("events", "TestEventPattern"), ("lambda", "ListFunctions"), ("lambda", "ListEventSourceMappings"),
    ("logs", "DescribeLogGroups"), ("scheduler", "ListSchedules"), ("ses", "GetSendQuota"),
    ("stepfunctions", "ListStateMachines"), ("stepfunctions", "SendTaskFailure"), ("stepfunctions", "SendTaskSuccess"),
    ("resourcegroupstaggingapi", "GetResources"), ("codedeploy", "PutLifecycleEventHookExecutionStatus"),
}  # fmt: skip
_PREFIXES = {"stepfunctions": "states", "resourcegroupstaggingapi": "tag"}
# Sign-in works without an AWS identity: Cognito does not check IAM for these (its API reference, "unauthenticated").
_WITHOUT_RIGHTS = {
    ("cognito-idp", "InitiateAuth"), ("cognito-idp", "GetTokensFromRefreshToken"),
    ("cognito-idp", "RespondToAuthChallenge"), ("cognito-idp", "RevokeToken"),
    ("cognito-idp", "AssociateSoftwareToken"), ("cognito-idp", "VerifySoftwareToken"),
    ("cognito-idp", "SetUserMFAPreference"), ("cognito-idp", "GlobalSignOut"),
}  # fmt: skip
_UPLOADS = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")


def needs(service: str, operation: str, params: Json, region: str, account: str) -> Iterator[Need]:
    """Yield the rights that a call needs.

    Raises:
        UnknownCall: no rule covers the call.
    """
    if (service, operation) in _WITHOUT_RIGHTS:
        return
    prefix = _PREFIXES.get(service, service)
    if (service, operation) in _WITHOUT_RESOURCE:
        yield Need(f"{prefix}:{operation}")
        return

    def arn(rest: str) -> str:
        return f"arn:aws:{prefix}:{region}:{account}:{rest}"

    action = f"{prefix}:{operation}"
    match service:
        case "s3":
            yield from _s3(operation, params)
        case "secretsmanager" | "ssm" if operation.startswith("Get") or operation == "PutParameter":
            name = params.get("SecretId") or params["Name"]
            if service == "ssm":
                yield Need(action, arn(f"parameter{name}"))
            elif name.startswith("arn:") or "unsubscribe-links" in name:
                # The emulator's Ref of the stack's own secret is a name, here and in the policy; on AWS it is an ARN.
                yield Need(action, name)
            else:
                yield Need(action, arn(f"secret:{name}-AbCdEf"))
        case "sns":
            yield Need(action, params["TopicArn"])
        case "sqs":
            name = params["QueueUrl"].rpartition("/")[2]
            yield Need("sqs:SendMessage", arn(name))
        case "lambda" if operation == "Invoke":
            yield Need("lambda:InvokeFunction", params["FunctionName"])
        case "lambda" if operation == "UpdateEventSourceMapping":
            yield Need(action, arn(f"event-source-mapping:{params['UUID']}"), {"mapping": params["UUID"]})
        case "ses":
            sender = str(params["Source"]).rpartition("<")[2].rstrip(">").partition("@")[2]
            yield Need(action, arn(f"identity/{sender}"))
            if "ConfigurationSetName" in params:
                yield Need(action, arn(f"configuration-set/{params['ConfigurationSetName']}"))
        case "events" if operation == "PutEvents":
            for entry in params["Entries"]:
                yield Need(action, arn(f"event-bus/{entry['EventBusName']}"), {"events:source": entry["Source"]})
        case "events":
            name = params.get("Rule") or params["Name"]
            yield Need(action, arn(f"rule/{params['EventBusName']}/{name}"))
        case "scheduler":
            yield Need(action, arn(f"schedule/{params.get('GroupName', 'default')}/{params['Name']}"))
            if "Target" in params:
                yield Need(
                    "iam:PassRole", params["Target"]["RoleArn"], {"iam:PassedToService": "scheduler.amazonaws.com"}
                )
        case "stepfunctions":
            yield from _state_machines(action, operation, params, arn("stateMachine:"))
        case "dynamodb":
            yield Need(action, arn(f"table/{params['TableName']}"))
        case "codedeploy" if operation == "GetDeployment":
            # It needs the right on the deployment's group. The call names only the deployment.
            yield Need(action, arn("deploymentgroup:email-sender-local-ServerlessDeploymentApplication/group"))
        case "cloudwatch" if operation == "DescribeAlarms":
            yield Need(action, arn("alarm:*"))
        case "cloudwatch" if operation == "GetDashboard":
            yield Need(action, f"arn:aws:cloudwatch::{account}:dashboard/{params['DashboardName']}")
        case "cognito-idp":
            yield Need(action, arn(f"userpool/{params['UserPoolId']}"))
        case _:
            raise UnknownCall(f"{service}.{operation}({', '.join(params)})")


def _s3(operation: str, params: Json) -> Iterator[Need]:
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    if operation.startswith("ListObject"):
        yield Need("s3:ListBucketVersions" if operation == "ListObjectVersions" else "s3:ListBucket", bucket)
        return
    key = f"{bucket}/{params['Key']}"
    if operation in ("GetObject", "HeadObject"):
        yield Need("s3:GetObjectVersion" if params.get("VersionId") else "s3:GetObject", key)
        # Without it, a missing object is a 403.
        yield Need("s3:ListBucket", bucket)
    elif operation in _UPLOADS:
        yield Need("s3:PutObject", key)
    elif operation in ("DeleteObject", "AbortMultipartUpload"):
        yield Need(f"s3:{operation}", key)
    else:
        raise UnknownCall(f"s3.{operation}")


def _state_machines(action: str, operation: str, params: Json, prefix: str) -> Iterator[Need]:
    if operation == "CreateStateMachine":
        yield Need(action, prefix + params["name"])
    else:
        yield Need(action, params.get("stateMachineArn") or params["executionArn"])
    if "roleArn" in params:
        yield Need("iam:PassRole", params["roleArn"], {"iam:PassedToService": "states.amazonaws.com"})
