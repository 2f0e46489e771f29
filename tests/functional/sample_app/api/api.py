"""Return the received request and the environment, for tests to inspect."""

import json
import os
from typing import Any

import both  # type: ignore[import-not-found]  # in the function and in the layer
from sample_layer import NAME  # type: ignore[import-not-found]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    print(f"serving {event['rawPath']}")  # noqa: T201 - the log
    jwt = event["requestContext"].get("authorizer", {}).get("jwt")
    body = {
        "path": event["rawPath"],
        "query": event["rawQueryString"],
        "jwt": jwt,
        "both": both.WHO,
        "layer": NAME,
        "environment": {key: os.environ.get(key) for key in ("STAGE", "BUS", "ARCHIVE", "HOME", "GATEWAY_PORT")},
        "function_version": context.function_version,
        "arn": context.invoked_function_arn,
    }
    if event["rawPath"].endswith("/raise"):
        raise LookupError("no such thing")
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
