"""What MiniStack 1.5.33 does otherwise than AWS where neither a template nor our code can make up for it.

* A Parallel state in JSONata mode ignores Arguments, Output and Assign, lets its branches write each other's variables
  and task tokens, and waits for every branch before it fails. User workflows are compiled to Parallel states.
* S3's events on EventBridge lack the object's version, which imports pin.
* S3 gives the whole of an object's version where a range of it was asked for: imports read ranges of a pinned version.
* A function that fails behind an HTTP API shows the caller its error and stack; AWS says "Internal Server Error".
"""

import contextvars
import copy
import json
import queue
import threading
from typing import Any

from ministack.services import eventbridge, lambda_svc, s3, stepfunctions

from local.aws.upstream import check_sources

_RELIES_ON = {
    "stepfunctions._run_parallel_branches": (stepfunctions._run_parallel_branches, "b8c7f6915297"),
    "stepfunctions._run_sub_machine": (stepfunctions._run_sub_machine, "f8d844168b14"),
    "stepfunctions._apply_jsonata_output": (stepfunctions._apply_jsonata_output, "687e63886e94"),
    "stepfunctions._apply_jsonata_arguments": (stepfunctions._apply_jsonata_arguments, "c74f8b18dccd"),
    "stepfunctions._apply_state_assign": (stepfunctions._apply_state_assign, "f9cc15f006a0"),
    "s3._fire_s3_event": (s3._fire_s3_event, "2ab38cfade76"),
    "s3._get_object": (s3._get_object, "64ad7071ef0e"),
    "s3._parse_range": (s3._parse_range, "0631595e6e00"),
    "lambda_svc.lambda_execute_result_to_api_proxy_response": (
        lambda_svc.lambda_execute_result_to_api_proxy_response,
        "36f0ed215e85",
    ),
    "eventbridge._dispatch_event": (eventbridge._dispatch_event, "d1bfe064f602"),
}

State = dict[str, Any]


def install() -> None:
    """Put the repairs in place.

    Raises:
        UpstreamChanged: MiniStack's own code is not what they were written for.
    """
    check_sources(_RELIES_ON)
    _repair_parallel()
    _repair_object_versions()
    _repair_ranges_of_versions()
    _repair_failed_integrations()


def _repair_parallel() -> None:
    jsonpath = stepfunctions._run_parallel_branches

    def run(state: State, raw_input: Any, execution: Any, context: dict[str, Any]) -> tuple[Any, str | None]:
        if stepfunctions._state_query_language(state, context) != "JSONata":
            outcome: tuple[Any, str | None] = jsonpath(state, raw_input, execution, context)
            return outcome
        given = stepfunctions._apply_jsonata_arguments(state, raw_input, context)
        results = _run_branches(state["Branches"], given, execution, context)
        output = stepfunctions._apply_jsonata_output(state, raw_input, context, result=results, default=results)
        stepfunctions._apply_state_assign(state, raw_input, context, result=results)
        return output, stepfunctions._next_or_end(state)

    stepfunctions._run_parallel_branches = run


def _run_branches(branches: list[State], given: Any, execution: Any, context: dict[str, Any]) -> list[Any]:
    """Each branch's output, in order. The first failure ends the state, as on AWS: other threads are not waited for."""
    ended: queue.SimpleQueue[tuple[int, Any, Exception | None]] = queue.SimpleQueue()

    def run(index: int, branch: State) -> None:
        try:
            # Its own context: variables and task tokens of a branch are its own.
            own = copy.deepcopy(context)
            result = stepfunctions._run_sub_machine(branch["States"], branch["StartAt"], given, execution, own)
        except Exception as error:
            ended.put((index, None, error))
        else:
            ended.put((index, result, None))

    for index, branch in enumerate(branches):
        # MiniStack finds the account and the region in context variables, which a thread does not inherit.
        inherited = contextvars.copy_context()
        threading.Thread(target=inherited.run, args=(run, index, branch), daemon=True).start()
    results: list[Any] = [None] * len(branches)
    for _ in branches:
        index, result, error = ended.get()
        if error is not None:
            raise (
                error
                if isinstance(error, stepfunctions._ExecutionError)
                else stepfunctions._ExecutionError("States.BranchFailed", str(error))
            )
        results[index] = result
    return results


def _repair_object_versions() -> None:
    fire = s3._fire_s3_event
    dispatch = eventbridge._dispatch_event
    version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version", default=None)

    def fire_with_version(*arguments: Any, version_id: str | None = None, **named: Any) -> None:
        token = version.set(version_id)
        try:
            fire(*arguments, version_id=version_id, **named)
        finally:
            version.reset(token)

    def dispatch_with_version(event: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        if event["Source"] == "aws.s3" and version.get():
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version.get()
            event = event | {"Detail": json.dumps(detail)}
        return dispatch(event, *arguments, **named)

    s3._fire_s3_event = fire_with_version
    eventbridge._dispatch_event = dispatch_with_version


def _repair_ranges_of_versions() -> None:
    get_object = s3._get_object

    def get_range(bucket: str, key: str, headers: dict[str, str], query: dict[str, Any] | None = None) -> Any:
        status, given, body = get_object(bucket, key, headers, query)
        asked = headers.get("range", "")
        if status != 200 or not asked or "Content-Range" in given:
            return status, given, body
        found = s3._parse_range(asked, len(body))
        if found is None:
            return 416, {"Content-Range": f"bytes */{len(body)}"}, b""
        first, last = found
        part = body[first : last + 1]
        given |= {"Content-Length": str(len(part)), "Content-Range": f"bytes {first}-{last}/{len(body)}"}
        # The checksums are of the whole object, and clients compare them with what they were given.
        kept = {name: value for name, value in given.items() if not name.lower().startswith("x-amz-checksum")}
        return 206, kept, part

    s3._get_object = get_range


def _repair_failed_integrations() -> None:
    shape = lambda_svc.lambda_execute_result_to_api_proxy_response

    def answer(result: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
        if result.get("throttle"):
            return _gateway_answer(503, "Service Unavailable"), None
        if result.get("error"):
            return _gateway_answer(500, "Internal Server Error"), None
        shaped: tuple[dict[str, Any] | None, str | None] = shape(result)
        return shaped

    lambda_svc.lambda_execute_result_to_api_proxy_response = answer


def _gateway_answer(status: int, message: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps({"message": message})}
