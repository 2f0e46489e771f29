"""Deploys a built SAM template to MiniStack: uploads what changed, creates or updates the stack, waits, and explains.

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

_ENDED_WELL = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
# A stack in one of these states takes no update: it has to be removed first, as on AWS.
_BEYOND_UPDATE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")


class DeploymentFailed(RuntimeError):
    """The stack did not get where it should; the message names the resource and its reason."""


def session(endpoint: str) -> Callable[[str], Any]:
    """A function that makes boto3 clients for the local endpoint, whatever AWS account this machine is set up for."""
    # A session of its own: credentials and region given, no profile, no metadata service.
    own = boto3.Session(aws_access_key_id="000000000000", aws_secret_access_key="test", region_name=REGION)  # noqa: S106
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2})

    def client(service: str) -> Any:
        return own.client(service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]

    return client


def deploy(
    build_dir: Path, endpoint: str, stack: str, parameters: Mapping[str, str], report: Callable[[str], None]
) -> dict[str, str]:
    """Deploy `build_dir`/template.yaml and return the stack's outputs.

    `report` gets one line for each thing that is otherwise than on AWS.

    Raises:
        DeploymentFailed: a resource could not be made; the message names it and says why.
        UnsupportedTemplate: SAM refuses the template.
        UnsupportedApi: a route cannot be written for MiniStack.
    """
    client = session(endpoint)
    s3: S3Client = client("s3")
    cloudformation: CloudFormationClient = client("cloudformation")

    template = read_template(build_dir / "template.yaml")
    _make_bucket(s3)
    paths = {artefact.logical_id: _built(build_dir, artefact) for artefact in artefacts(template)}
    # The functions of an area are one build, sent once.
    uris = {path: _upload(s3, path) for path in dict.fromkeys(paths.values())}
    locations = {logical_id: uris[path] for logical_id, path in paths.items()}
    plain, said = transform(template, parameters, locations, REGION)
    for line in said:
        report(line)

    known = plain.get("Parameters", {})
    if unknown := sorted(set(parameters) - set(known)):
        raise DeploymentFailed(f"the template has no parameters called {', '.join(unknown)}")
    _apply(cloudformation, _upload_template(s3, endpoint, stack, plain), stack, parameters)
    return _outputs(cloudformation, stack)


def _make_bucket(s3: "S3Client") -> None:
    try:
        s3.head_bucket(Bucket=BUCKET)
    except ClientError:
        s3.create_bucket(Bucket=BUCKET)


def _built(build_dir: Path, artefact: Artefact) -> Path:
    path = (build_dir / artefact.path).resolve()
    if not path.exists():
        raise DeploymentFailed(f"{artefact.logical_id}: {path} does not exist. Run `sam build` first.")
    return path


def _upload(s3: "S3Client", path: Path) -> str:
    """Put an artefact under a key that is its content's digest, unless it is there. Answers the s3 URI."""
    if path.is_dir():
        key = f"{packaging.tree_digest(path)}.zip"
        if not _exists(s3, key):
            s3.put_object(Bucket=BUCKET, Key=key, Body=packaging.zip_tree(path))
    else:
        definition = packaging.state_machine_json(path)
        key = f"{packaging.digest(definition)}.json"
        s3.put_object(Bucket=BUCKET, Key=key, Body=definition)
    return f"s3://{BUCKET}/{key}"


def _exists(s3: "S3Client", key: str) -> bool:
    try:
        s3.head_object(Bucket=BUCKET, Key=key)
    except ClientError:
        return False
    return True


def _upload_template(s3: "S3Client", endpoint: str, stack: str, template: Mapping[str, Any]) -> str:
    """A template in the request itself may have 51,200 bytes; ours has more."""
    key = f"{stack}.template.json"
    s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(template).encode())
    return f"{endpoint}/{BUCKET}/{key}"


def _apply(cloudformation: "CloudFormationClient", url: str, stack: str, parameters: Mapping[str, str]) -> None:
    given: Any = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    capabilities: Any = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
    status = _status(cloudformation, stack)
    if status in _BEYOND_UPDATE:
        cloudformation.delete_stack(StackName=stack)
        _wait(cloudformation, stack, since=0.0)
        status = None
    elif status == "UPDATE_FAILED":
        # As it was before: from there it may be updated again.
        cloudformation.rollback_stack(StackName=stack)
        _wait(cloudformation, stack, since=0.0)
    started = time.time() - 1
    try:
        if status is None:
            cloudformation.create_stack(
                StackName=stack, TemplateURL=url, Parameters=given, Capabilities=capabilities, DisableRollback=True
            )
        else:
            cloudformation.update_stack(StackName=stack, TemplateURL=url, Parameters=given, Capabilities=capabilities)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "No updates are to be performed" in message:
            return
        raise DeploymentFailed(f"stack {stack} was refused: {message}") from error
    ended = _wait(cloudformation, stack, since=started)
    if ended not in _ENDED_WELL:
        raise DeploymentFailed(f"stack {stack} ended in {ended}:\n{_reasons(cloudformation, stack, started)}")


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
        pause = min(pause * 1.5, 1.0)
    raise DeploymentFailed(
        f"stack {stack} is still {status} after {WAIT_SECONDS:.0f} s:\n{_reasons(cloudformation, stack, since)}"
    )


def _reasons(cloudformation: "CloudFormationClient", stack: str, since: float) -> str:
    """The failed resources of the last attempt, first failure first, each with its reason."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    events = [event for page in pages for event in page["StackEvents"]]
    failures = [
        event
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED") and event["Timestamp"].timestamp() >= since
    ]
    # What is wrong with the whole, as a circle of references, is said of the stack alone.
    told = [event for event in failures if event["LogicalResourceId"] != stack] or failures
    lines = [
        f"  {event['LogicalResourceId']} ({event.get('ResourceType', '?')}): "
        f"{event.get('ResourceStatusReason', 'no reason given')}"
        for event in told
    ]
    return "\n".join(lines) or "  MiniStack gave no reason; see its log"


def _outputs(cloudformation: "CloudFormationClient", stack: str) -> dict[str, str]:
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
