"""The program inside a sandbox: it imports one handler and answers invocations until its standard input closes.

Started by `sandboxes.py` with `python -I -S worker.py <response fd>`, so that nothing but the standard library is on
`sys.path`: a function that forgot to bring a package fails here as it fails on Lambda.

The protocol is one JSON document a line. The first line in is the start message (`path`, `handler`); each later one is
`{"event", "context"}`. Each line out, on the response descriptor, is `{"result"}` or `{"error"}`. Standard output and
standard error are left to the function: they are its log.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

Handler = Callable[[Any, "LambdaContext"], Any]


class LambdaContext:
    """The context object of the Python runtime, as far as AWS documents it."""

    client_context: None = None
    identity: None = None

    def __init__(self, request_id: str, invoked_arn: str, deadline: float) -> None:
        self.aws_request_id = request_id
        self.invoked_function_arn = invoked_arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.time()) * 1000))

    def log(self, message: object) -> None:
        sys.stdout.write(str(message))


def describe(error: BaseException, request_id: str | None = None) -> dict[str, Any]:
    """An error as Lambda reports it: Step Functions matches Retry and Catch against `errorType`."""
    frames = traceback.format_tb(error.__traceback__)
    ours = len([frame for frame in frames if __file__ in frame])
    report: dict[str, Any] = {"errorMessage": str(error), "errorType": type(error).__name__}
    if request_id is not None:
        report["requestId"] = request_id
    return report | {"stackTrace": frames[ours:]}


def load(spec: str) -> Handler:
    """The function named `package.module.name`. Lambda takes slashes between packages too."""
    module_name, _, name = spec.replace("/", ".").rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ImportModuleError(f"Unable to import module '{module_name}': {error}") from error
    if not hasattr(module, name):
        raise HandlerNotFound(f"Handler '{name}' missing on module '{module_name}'")
    handler: Handler = getattr(module, name)
    return handler


class ImportModuleError(Exception):
    """Its package, or one that it needs, is not in the function or its layers."""


class HandlerNotFound(Exception):
    """The module has no such function."""


_RUNTIME_NAMES = {ImportModuleError: "Runtime.ImportModuleError", HandlerNotFound: "Runtime.HandlerNotFound"}


def answer(handler: Handler, message: dict[str, Any]) -> str:
    """Run one invocation and return the line that answers it."""
    context = message["context"]
    if context["trace_id"]:
        os.environ["_X_AMZN_TRACE_ID"] = context["trace_id"]
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    request_id = context["request_id"]
    try:
        result = handler(
            message["event"], LambdaContext(request_id, context["invoked_function_arn"], context["deadline"])
        )
    except Exception as error:
        traceback.print_exc()
        return json.dumps({"error": describe(error, request_id)})
    try:
        return json.dumps({"result": result})
    except (TypeError, ValueError) as error:
        report = {"errorMessage": f"Unable to marshal response: {error}", "errorType": "Runtime.MarshalError"}
        return json.dumps({"error": report | {"requestId": request_id, "stackTrace": []}})


def main() -> None:
    responses = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", buffering=1)
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a handler that reads standard input must not eat the next request

    start = json.loads(requests.readline())
    sys.path[:0] = start["path"]
    sys.path += start["runtime_path"]
    try:
        handler = load(start["handler"])
    except Exception as error:
        traceback.print_exc()
        report = describe(error)
        report["errorType"] = _RUNTIME_NAMES.get(type(error), report["errorType"])
        flush(responses, json.dumps({"error": report}))
        sys.exit(1)
    flush(responses, json.dumps({"result": "ready"}))

    while line := requests.readline():
        flush(responses, answer(handler, json.loads(line)))


def flush(responses: Any, line: str) -> None:
    """Write the answer after the log, so that who reads the answer finds the whole log of the invocation waiting."""
    sys.stdout.flush()
    sys.stderr.flush()
    responses.write(line + "\n")


if __name__ == "__main__":
    main()
