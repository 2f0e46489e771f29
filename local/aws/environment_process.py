"""The program of an execution environment: import one handler and run invocations until standard input closes.

`execution_environments.py` starts it with `python -I -S environment_process.py <response fd>`, so that only the
standard library is on `sys.path`: a function whose package lacks a dependency fails here as it fails on Lambda.

Each line of the protocol is a JSON document. The first input line is the start message (`path`, `handler`); each later
one is `{"event", "context"}`. Each output line, on the response descriptor, is `{"result"}` or `{"error"}`. Standard
output and standard error are the function's log.
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
    """The context object of Lambda's Python runtime, with the members that AWS documents."""

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


def error_report(error: BaseException, request_id: str | None = None) -> dict[str, Any]:
    """Return an error as Lambda reports it. Step Functions matches Retry and Catch against `errorType`."""
    frames = traceback.format_tb(error.__traceback__)
    own_frames = len([frame for frame in frames if __file__ in frame])
    report: dict[str, Any] = {"errorMessage": str(error), "errorType": type(error).__name__}
    if request_id is not None:
        report["requestId"] = request_id
    return report | {"stackTrace": frames[own_frames:]}


def load_handler(spec: str) -> Handler:
    """Import and return the function `package.module.name`. As on Lambda, slashes may separate packages."""
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
    """The handler's module, or one of its imports, is not in the function or its layers."""


class HandlerNotFound(Exception):
    """The module has no such function."""


_RUNTIME_NAMES = {ImportModuleError: "Runtime.ImportModuleError", HandlerNotFound: "Runtime.HandlerNotFound"}


def handle_invocation(handler: Handler, message: dict[str, Any]) -> str:
    """Run one invocation and return the response as a line of JSON."""
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
        return json.dumps({"error": error_report(error, request_id)})
    try:
        return json.dumps({"result": result})
    except (TypeError, ValueError) as error:
        report = {"errorMessage": f"Unable to marshal response: {error}", "errorType": "Runtime.MarshalError"}
        return json.dumps({"error": report | {"requestId": request_id, "stackTrace": []}})


def record_aws_calls(log: str) -> None:
    """Append each call of an AWS API to `log`, one JSON document a line, so that tests can compare them with rights."""
    try:
        aws_clients = importlib.import_module("email_sender.kit.aws_clients")
    except ImportError:  # a function that is not of this platform
        return
    create_client = aws_clients._cached_client
    function, recorded_clients = os.environ["AWS_LAMBDA_FUNCTION_NAME"], set()

    def record(params: Any, model: Any, **_: object) -> None:
        call = {"function": function, "service": model.service_model.service_name, "operation": model.name}
        line = json.dumps(call | {"params": params}, default=lambda _: None) + "\n"
        # One write, so that the lines of several processes do not mix.
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    def create_recorded_client(*arguments: object) -> Any:
        client = create_client(*arguments)
        if id(client) not in recorded_clients:
            recorded_clients.add(id(client))
            client.meta.events.register("provide-client-params", record)
        return client

    vars(aws_clients)["_cached_client"] = create_recorded_client


def main() -> None:
    responses = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", buffering=1)
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a handler that reads standard input must not read the next request

    start = json.loads(requests.readline())
    sys.path[:0] = start["path"]
    sys.path += start["runtime_path"]
    try:
        handler = load_handler(start["handler"])
    except Exception as error:
        traceback.print_exc()
        report = error_report(error)
        report["errorType"] = _RUNTIME_NAMES.get(type(error), report["errorType"])
        write_response(responses, json.dumps({"error": report}))
        sys.exit(1)
    if log := os.environ.get("RECORDED_CALLS"):
        record_aws_calls(log)
    write_response(responses, json.dumps({"result": "ready"}))

    while line := requests.readline():
        write_response(responses, handle_invocation(handler, json.loads(line)))


def write_response(responses: Any, line: str) -> None:
    """Write the response after the log, so that the whole log is available when the response is read."""
    sys.stdout.flush()
    sys.stderr.flush()
    responses.write(line + "\n")


if __name__ == "__main__":
    main()
