"""Deploy a built SAM template to MiniStack: upload changed files, create or update the stack, wait, report errors.

outputs = deploy(Path(".aws-sam/build"), "http://127.0.0.1:4566", "email-sender", {"Stage": "local"}, print)
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws import packaging
from local.aws.intrinsics import read_template
from local.aws.transform import Artefact, artefacts, transform

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client

BUCKET = "local-deployment-artefacts"
REGION = "us-east-1"
WAIT_SECONDS = 300.0

_SUCCEEDED = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
# A stack in one of these states cannot be updated. As on AWS, it has to be deleted first.
_NOT_UPDATABLE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED")


class DeploymentFailed(RuntimeError):
    """The stack was not deployed. The message names the failed resource and the reason."""


def client_factory(endpoint: str) -> Callable[[str], Any]:
    """Return a function that creates boto3 clients for the local endpoint, independent of the machine's AWS account."""
    # Explicit credentials and region: boto3 reads no profile and calls no metadata service.
    boto_session = boto3.Session(aws_access_key_id="000000000000", aws_secret_access_key="test", region_name=REGION)  # noqa: S106
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2})

    def client(service: str) -> Any:
        return boto_session.client(service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]

    return client


def deploy(
    build_dir: Path, endpoint: str, stack: str, parameters: Mapping[str, str], report: Callable[[str], None]
) -> dict[str, str]:
    """Deploy `build_dir`/template.yaml and return the stack's outputs.

    `report` gets one line for each difference from AWS.

    Raises:
        DeploymentFailed: a resource could not be created. The message names it and the reason.
        UnsupportedTemplate: SAM rejects the template.
        UnsupportedApi: MiniStack has no equivalent of a route.
    """
    client = client_factory(endpoint)
    s3: S3Client = client("s3")
    cloudformation: CloudFormationClient = client("cloudformation")

    template = read_template(build_dir / "template.yaml")
    _create_bucket(s3)
    paths = {artefact.logical_id: _artefact_path(build_dir, artefact) for artefact in artefacts(template)}
    # The functions of an area share one build, which is uploaded once.
    uris = {path: _upload(s3, path) for path in dict.fromkeys(paths.values())}
    locations = {logical_id: uris[path] for logical_id, path in paths.items()}
    cloudformation_template, differences = transform(template, parameters, locations, REGION)
    for line in differences:
        report(line)

    declared_parameters = cloudformation_template.get("Parameters", {})
    if unknown := sorted(set(parameters) - set(declared_parameters)):
        raise DeploymentFailed(f"The template has no parameters with the names {', '.join(unknown)}.")
    _apply(cloudformation, _upload_template(s3, endpoint, stack, cloudformation_template), stack, parameters)
    return _outputs(cloudformation, stack)


def _create_bucket(s3: "S3Client") -> None:
    try:
        s3.head_bucket(Bucket=BUCKET)
    except ClientError:
        s3.create_bucket(Bucket=BUCKET)


def _artefact_path(build_dir: Path, artefact: Artefact) -> Path:
    path = (build_dir / artefact.path).resolve()
    if not path.exists():
        raise DeploymentFailed(f"{artefact.logical_id}: {path} does not exist. Run `sam build` first.")
    return path


def _upload(s3: "S3Client", path: Path) -> str:
    """Upload an artefact under the digest of its content unless it exists. Return its s3 URI."""
    if path.is_dir():
        key = f"{packaging.tree_digest(path)}.zip"
        if not _exists(s3, key):
            s3.put_object(Bucket=BUCKET, Key=key, Body=packaging.zip_tree(path))
    else:
        # The same bytes that AWS would get.
        content = path.read_bytes()
        key = f"{packaging.digest(content)}{path.suffix}"
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    return f"s3://{BUCKET}/{key}"


def _exists(s3: "S3Client", key: str) -> bool:
    try:
        s3.head_object(Bucket=BUCKET, Key=key)
    except ClientError:
        return False
    return True


def _upload_template(s3: "S3Client", endpoint: str, stack: str, template: Mapping[str, Any]) -> str:
    """Upload the template and return its URL. A template inside the request may have only 51,200 bytes."""
    key = f"{stack}.template.json"
    s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(template).encode())
    return f"{endpoint}/{BUCKET}/{key}"


def _apply(cloudformation: "CloudFormationClient", url: str, stack: str, parameters: Mapping[str, str]) -> None:
    parameter_list: Any = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    capabilities: Any = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
    status = _status(cloudformation, stack)
    if status in _NOT_UPDATABLE:
        cloudformation.delete_stack(StackName=stack)
        _wait(cloudformation, stack, since=0.0)
        status = None
    elif status == "UPDATE_FAILED":
        # After the rollback the stack can be updated again.
        cloudformation.rollback_stack(StackName=stack)
        _wait(cloudformation, stack, since=0.0)
    started = time.time() - 1
    try:
        if status is None:
            cloudformation.create_stack(
                StackName=stack,
                TemplateURL=url,
                Parameters=parameter_list,
                Capabilities=capabilities,
                DisableRollback=True,
            )
        else:
            cloudformation.update_stack(
                StackName=stack, TemplateURL=url, Parameters=parameter_list, Capabilities=capabilities
            )
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "No updates are to be performed" in message:
            return
        raise DeploymentFailed(f"The update of stack {stack} was rejected: {message}") from error
    final_status = _wait(cloudformation, stack, since=started)
    if final_status not in _SUCCEEDED:
        raise DeploymentFailed(
            f"Stack {stack} ended with status {final_status}:\n{_reasons(cloudformation, stack, started)}"
        )


def _status(cloudformation: "CloudFormationClient", stack: str) -> str | None:
    try:
        status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError:
        return None
    return None if status == "DELETE_COMPLETE" else status


def _wait(cloudformation: "CloudFormationClient", stack: str, since: float) -> str | None:
    deadline = time.monotonic() + WAIT_SECONDS
    pause = 0.05
    while time.monotonic() < deadline:
        status = _status(cloudformation, stack)
        if status is None or not status.endswith("_IN_PROGRESS"):
            return status
        time.sleep(pause)
        pause = min(pause * 1.5, 0.3)
    raise DeploymentFailed(
        f"Stack {stack} still has status {status} after {WAIT_SECONDS:.0f} s:\n{_reasons(cloudformation, stack, since)}"
    )


def _reasons(cloudformation: "CloudFormationClient", stack: str, since: float) -> str:
    """Return the failed resources of the last attempt, oldest first, each with its reason."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    events = [event for page in pages for event in page["StackEvents"]]
    failures = [
        event
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED") and event["Timestamp"].timestamp() >= since
    ]
    # An error of the whole template, such as circular references, is reported only for the stack itself.
    relevant_failures = [event for event in failures if event["LogicalResourceId"] != stack] or failures
    lines = [
        f"  {event['LogicalResourceId']} ({event.get('ResourceType', '?')}): "
        f"{event.get('ResourceStatusReason', 'no reason given')}"
        for event in relevant_failures
    ]
    return "\n".join(lines) or "  MiniStack gave no reason. See its log."


def _outputs(cloudformation: "CloudFormationClient", stack: str) -> dict[str, str]:
    stack_description = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack_description.get("Outputs", [])}
