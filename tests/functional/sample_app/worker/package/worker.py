"""Functions invoked by queues, state machines, schedules and the stack's custom resource."""

import json
import os
import time
import urllib.request
from typing import Any


class Throttled(Exception):
    """Retried by the state machine by its name."""


class Unwelcome(Exception):
    """Caught by the state machine by its name."""


_calls: dict[str, int] = {}


def on_queue(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Fail the messages that contain "poison" and forward the others."""
    import boto3

    failures = []
    for record in event["Records"]:
        if "poison" in record["body"]:
            failures.append({"itemIdentifier": record["messageId"]})
        else:
            boto3.client("sqs").send_message(QueueUrl=os.environ["SEEN"], MessageBody=record["body"])
    return {"batchItemFailures": failures}


def task(event: dict[str, Any], context: Any) -> Any:
    match event.get("do"):
        case "throttle":
            _calls[event["key"]] = _calls.get(event["key"], 0) + 1
            if _calls[event["key"]] < 3:
                raise Throttled("slow down")
            return {"calls": _calls[event["key"]]}
        case "refuse":
            raise Unwelcome("not you")
        case "exit":
            os._exit(3)
        case "sleep":
            time.sleep(event["seconds"])
            return os.getpid()
        case "reach":
            import boto3

            return boto3.client("s3").list_buckets()["Buckets"]
        case "unserializable":
            return {1, 2}
    return event


def callback(event: dict[str, Any], context: Any) -> None:
    import boto3

    boto3.client("stepfunctions").send_task_success(
        taskToken=event["token"], output=json.dumps({"decision": event["say"]})
    )


def scheduled(event: dict[str, Any], context: Any) -> None:
    import boto3

    boto3.client("sqs").send_message(QueueUrl=os.environ["SEEN"], MessageBody=json.dumps({"scheduled": event}))


def custom_resource(event: dict[str, Any], context: Any) -> None:
    response = {
        "Status": "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId", "setup"),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Said": f"{event['RequestType']} {event['ResourceProperties']['Stage']}"},
    }
    request = urllib.request.Request(event["ResponseURL"], data=json.dumps(response).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=5).close()
