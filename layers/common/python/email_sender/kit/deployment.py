"""Steps of a deployment: functions that CloudFormation calls as custom resources, before new code takes traffic."""

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
    """Run the step; where CloudFormation asked, tell it the outcome, so that a failure rolls the deployment back.

    A deletion does nothing: data outlives the stack that used it.
    """
    asked_by_stack = "ResponseURL" in event
    if asked_by_stack and event.get("RequestType") == "Delete":
        _answer(event, context, "SUCCESS", {}, "")
        return {}
    try:
        result = step()
    except Exception as error:
        logger.exception("a deployment step failed")
        if not asked_by_stack:
            raise
        reason = error.detail if isinstance(error, DomainError) else type(error).__name__
        _answer(event, context, "FAILED", {}, reason)
        return {}
    if asked_by_stack:
        _answer(event, context, "SUCCESS", result, "")
    return result


def _answer(event: dict[str, Any], context: LambdaContext, status: str, data: dict[str, Any], reason: str) -> None:
    """The protocol of custom resources: a PUT to a presigned address, within the stack's hour."""
    body = {
        "Status": status,
        "Reason": reason or "See the function's log.",
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {name: json.dumps(value) for name, value in data.items()},
    }
    logger.info("answering the stack", status=status, log_stream=context.log_stream_name)
    request = Request(event["ResponseURL"], json.dumps(body).encode(), {"content-type": ""}, method="PUT")  # noqa: S310
    with urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310  # the address is CloudFormation's own
        pass
