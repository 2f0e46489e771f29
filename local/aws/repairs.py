"""Fix differences between MiniStack 1.5.33 and AWS that neither the template nor the platform's code can handle.

* A Parallel state in JSONata mode ignores Arguments, Output and Assign, lets its branches write each other's variables
  and task tokens, and waits for every branch before it fails. User workflows are compiled to Parallel states.
* S3's events on EventBridge lack the object's version, which imports need.
* S3 returns the whole object for a request for a range of a version. Imports read ranges of a fixed version.
* The saved state has the content of layers as base64 inside one JSON document of 480 MB, which takes 4 s to read.
* The emulator's API needs a resource for each route, with which our stack exceeds the quota. On AWS it does
  not (tests/aws/limits.py).
* The HTTP API returns a failed function's error and stack trace to the caller. AWS returns "Internal Server Error".
"""

import contextvars
import copy
import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

from ministack.services import eventbridge, lambda_svc, s3, stepfunctions
from ministack.services.cloudformation import engine

from local.aws.upstream import check_sources

_RELIES_ON = {
    "stepfunctions._run_parallel_branches": (stepfunctions._run_parallel_branches, "b8c7f6915297"),
    "stepfunctions._run_sub_machine": (stepfunctions._run_sub_machine, "f8d844168b14"),
    "stepfunctions._apply_jsonata_output": (stepfunctions._apply_jsonata_output, "687e63886e94"),
    "stepfunctions._apply_jsonata_arguments": (stepfunctions._apply_jsonata_arguments, "c74f8b18dccd"),
    "stepfunctions._apply_state_assign": (stepfunctions._apply_state_assign, "f9cc15f006a0"),
    "engine._validate_template_limits": (engine._validate_template_limits, "6f43326fdf60"),
    "s3._fire_s3_event": (s3._fire_s3_event, "2ab38cfade76"),
    "s3._get_object": (s3._get_object, "64ad7071ef0e"),
    "s3._parse_range": (s3._parse_range, "0631595e6e00"),
    "lambda_svc.lambda_execute_result_to_api_proxy_response": (
        lambda_svc.lambda_execute_result_to_api_proxy_response,
        "36f0ed215e85",
    ),
    "lambda_svc.get_state": (lambda_svc.get_state, "fbae0860de48"),
    "lambda_svc._restore_state": (lambda_svc._restore_state, "29d435d6b656"),
    "lambda_svc._write_code_blob": (lambda_svc._write_code_blob, "69a68bb703da"),
    "lambda_svc._read_code_blob": (lambda_svc._read_code_blob, "37d94e7f9a52"),
    "eventbridge._dispatch_event": (eventbridge._dispatch_event, "d1bfe064f602"),
}

State = dict[str, Any]


def install() -> None:
    """Replace the functions of MiniStack.

    Raises:
        UpstreamChanged: MiniStack's code differs from the version for which the replacements were written.
    """
    check_sources(_RELIES_ON)
    _repair_parallel()
    _repair_object_versions()
    _repair_ranges_of_versions()
    _repair_failed_integrations()
    _repair_saved_layers()
    _raise_quota_of_resources()


def _raise_quota_of_resources() -> None:
    engine._SECTION_QUOTAS = tuple(
        (*quota[:3], 2 * quota[3] if quota[0] == "Resources" else quota[3]) for quota in engine._SECTION_QUOTAS
    )


def _repair_parallel() -> None:
    run_jsonpath = stepfunctions._run_parallel_branches

    def run(state: State, raw_input: Any, execution: Any, context: dict[str, Any]) -> tuple[Any, str | None]:
        if stepfunctions._state_query_language(state, context) != "JSONata":
            outcome: tuple[Any, str | None] = run_jsonpath(state, raw_input, execution, context)
            return outcome
        arguments = stepfunctions._apply_jsonata_arguments(state, raw_input, context)
        results = _run_branches(state["Branches"], arguments, execution, context)
        output = stepfunctions._apply_jsonata_output(state, raw_input, context, result=results, default=results)
        stepfunctions._apply_state_assign(state, raw_input, context, result=results)
        return output, stepfunctions._next_or_end(state)

    stepfunctions._run_parallel_branches = run


def _run_branches(branches: list[State], arguments: Any, execution: Any, context: dict[str, Any]) -> list[Any]:
    """Return each branch's output, in order. As on AWS, the first failure ends the state at once."""
    outcomes: queue.SimpleQueue[tuple[int, Any, Exception | None]] = queue.SimpleQueue()

    def run(index: int, branch: State) -> None:
        try:
            # Each branch has its own variables and task tokens.
            branch_context = copy.deepcopy(context)
            result = stepfunctions._run_sub_machine(
                branch["States"], branch["StartAt"], arguments, execution, branch_context
            )
        except Exception as error:
            outcomes.put((index, None, error))
        else:
            outcomes.put((index, result, None))

    for index, branch in enumerate(branches):
        # MiniStack reads the account and the region from context variables, which a new thread does not inherit.
        thread_context = contextvars.copy_context()
        threading.Thread(target=thread_context.run, args=(run, index, branch), daemon=True).start()
    results: list[Any] = [None] * len(branches)
    for _ in branches:
        index, result, error = outcomes.get()
        if error is not None:
            raise (
                error
                if isinstance(error, stepfunctions._ExecutionError)
                else stepfunctions._ExecutionError("States.BranchFailed", str(error))
            )
        results[index] = result
    return results


def _repair_object_versions() -> None:
    original_fire = s3._fire_s3_event
    original_dispatch = eventbridge._dispatch_event
    version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version", default=None)

    def fire_with_version(*arguments: Any, version_id: str | None = None, **keywords: Any) -> None:
        token = version.set(version_id)
        try:
            original_fire(*arguments, version_id=version_id, **keywords)
        finally:
            version.reset(token)

    def dispatch_with_version(event: dict[str, Any], *arguments: Any, **keywords: Any) -> Any:
        if event["Source"] == "aws.s3" and version.get():
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version.get()
            event = event | {"Detail": json.dumps(detail)}
        return original_dispatch(event, *arguments, **keywords)

    s3._fire_s3_event = fire_with_version
    eventbridge._dispatch_event = dispatch_with_version


def _repair_ranges_of_versions() -> None:
    get_object = s3._get_object

    def get_range(bucket: str, key: str, headers: dict[str, str], query: dict[str, Any] | None = None) -> Any:
        status, response_headers, body = get_object(bucket, key, headers, query)
        range_header = headers.get("range", "")
        if status != 200 or not range_header or "Content-Range" in response_headers:
            return status, response_headers, body
        byte_range = s3._parse_range(range_header, len(body))
        if byte_range is None:
            return 416, {"Content-Range": f"bytes */{len(body)}"}, b""
        first, last = byte_range
        part = body[first : last + 1]
        response_headers |= {"Content-Length": str(len(part)), "Content-Range": f"bytes {first}-{last}/{len(body)}"}
        # The checksums cover the whole object, and clients would compare them with the part.
        part_headers = {
            name: value for name, value in response_headers.items() if not name.lower().startswith("x-amz-checksum")
        }
        return 206, part_headers, part

    s3._get_object = get_range


def _repair_failed_integrations() -> None:
    original = lambda_svc.lambda_execute_result_to_api_proxy_response

    def build_response(result: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
        if result.get("throttle"):
            return _gateway_response(503, "Service Unavailable"), None
        if result.get("error"):
            return _gateway_response(500, "Internal Server Error"), None
        response: tuple[dict[str, Any] | None, str | None] = original(result)
        return response

    lambda_svc.lambda_execute_result_to_api_proxy_response = build_response


def _gateway_response(status: int, message: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps({"message": message})}


def _repair_saved_layers() -> None:
    """Save the content of layers in files, as MiniStack does with the code of functions."""
    get_state, load_state = lambda_svc.get_state, lambda_svc.load_persisted_state

    def get_state_without_layers() -> State:
        state: State = get_state()
        for version in _layer_versions(state):
            if version["_zip_data"]:
                version["_zip_data"] = {lambda_svc._BLOB_REF_KEY: lambda_svc._write_code_blob(version["_zip_data"])}
        return state

    def load_state_with_layers(state: State) -> None:
        for version in _layer_versions(state):
            if isinstance(version["_zip_data"], dict):
                version["_zip_data"] = lambda_svc._read_code_blob(version["_zip_data"][lambda_svc._BLOB_REF_KEY])
        load_state(state)

    lambda_svc.get_state = get_state_without_layers
    lambda_svc.load_persisted_state = load_state_with_layers


def _layer_versions(state: State) -> Iterator[State]:
    for layer in state["layers"]._data.values():
        yield from layer["versions"]
