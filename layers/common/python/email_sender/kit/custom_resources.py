"""Custom resources: functions that CloudFormation calls during a deployment, before new code receives traffic."""

import json
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.errors import DomainError
from email_sender.kit.telemetry import logger

_TIMEOUT_SECONDS = 10


def deployment_step(
    event: dict[str, Any], context: LambdaContext, step: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Run `step`, and report the outcome if CloudFormation called, so that a failure rolls the deployment back.

    Without CloudFormation (a manual invocation), errors are raised. When the resource is deleted, nothing happens,
    because the data outlives the stack.
    """
    logger.append_keys(function_request_id=context.aws_request_id)
    is_called_by_cloudformation = "ResponseURL" in event
    if is_called_by_cloudformation and event.get("RequestType") == "Delete":
        _send_response(event, context, "SUCCESS", {}, "")
        return {}
    try:
        result = step()
    except Exception as error:
        logger.exception("a deployment step failed")
        if not is_called_by_cloudformation:
            raise
        reason = error.detail if isinstance(error, DomainError) else type(error).__name__
        _send_response(event, context, "FAILED", {}, reason)
        return {}
    if is_called_by_cloudformation:
        _send_response(event, context, "SUCCESS", result, "")
    return result


def _send_response(
    event: dict[str, Any], context: LambdaContext, status: str, data: dict[str, Any], reason: str
) -> None:
    """Send the response of a custom resource: a PUT request to a presigned URL, within one hour of the event."""
    body = {
        "Status": status,
        "Reason": reason or "See the function's log.",
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {name: json.dumps(value) for name, value in data.items()},
    }
    logger.info("sending the outcome to CloudFormation", status=status, log_stream=context.log_stream_name)
    request = Request(event["ResponseURL"], json.dumps(body).encode(), {"content-type": ""}, method="PUT")  # noqa: S310
    with urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310  # the URL comes from CloudFormation
        pass
