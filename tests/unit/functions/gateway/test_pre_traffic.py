"""Tests of CodeDeploy's hook before a new version gets traffic."""

import json
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest

from gateway_lambda.events import pre_traffic
from gateway_lambda.version_checks import CheckFailed, check_version

EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e-1"}
FUNCTION = "email-sender-dev-MessagingFunction-1ABC"


class FakeCodeDeploy:
    """CodeDeploy with one deployment, whose AppSpec file CloudFormation wrote."""

    def __init__(self) -> None:
        self.reported: list[dict[str, str]] = []

    def get_deployment(self, deploymentId: str) -> dict[str, Any]:
        properties = {"Name": FUNCTION, "Alias": "live", "CurrentVersion": "6", "TargetVersion": "7"}
        resources = [{"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}]
        content = json.dumps({"version": 0.0, "Resources": resources, "Hooks": []})
        revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": content}}
        return {"deploymentInfo": {"deploymentId": deploymentId, "revision": revision}}

    def put_lifecycle_event_hook_execution_status(self, **status: str) -> None:
        self.reported.append(status)


class FakeLambda:
    def __init__(self, *statuses: int, error: str | None = None) -> None:
        self._statuses, self._error = list(statuses), error
        self.invoked: list[tuple[str, str, dict[str, Any]]] = []

    def invoke(self, FunctionName: str, Qualifier: str, Payload: bytes) -> dict[str, Any]:
        self.invoked.append((FunctionName, Qualifier, json.loads(Payload)))
        body = json.dumps({"statusCode": self._statuses.pop(0), "body": "{}"})
        return {"Payload": BytesIO(body.encode()), **({"FunctionError": self._error} if self._error else {})}


def run(monkeypatch: pytest.MonkeyPatch, functions: Any) -> list[dict[str, str]]:
    codedeploy = FakeCodeDeploy()
    monkeypatch.setattr(pre_traffic, "client", lambda _service: codedeploy)
    monkeypatch.setattr(pre_traffic, "slow_client", lambda _service, _seconds: functions)
    names = ("function_name", "memory_limit_in_mb", "invoked_function_arn", "aws_request_id")
    context: Any = SimpleNamespace(**dict.fromkeys(names, "x"))
    pre_traffic.handler(EVENT, context)
    return codedeploy.reported


def test_a_version_that_answers_gets_its_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = FakeLambda(200)
    expected = {"deploymentId": "d-1", "lifecycleEventHookExecutionId": "e-1", "status": "Succeeded"}
    assert run(monkeypatch, functions) == [expected]
    ((name, version, event),) = functions.invoked
    assert (name, version, event["rawPath"], event["rawQueryString"]) == (FUNCTION, "7", "/api/v1/contacts", "limit=1")


@pytest.mark.parametrize("functions", [FakeLambda(503), FakeLambda(200, error="Unhandled"), FakeLambda()])
def test_a_version_that_fails_gets_none(monkeypatch: pytest.MonkeyPatch, functions: FakeLambda) -> None:
    """The last one raises an error that nobody expects: CodeDeploy gets its answer nevertheless."""
    assert [report["status"] for report in run(monkeypatch, functions)] == ["Failed"]


def test_a_function_without_checks_is_an_error() -> None:
    client: Any = FakeLambda()
    with pytest.raises(CheckFailed, match="no checks"):
        check_version(client, "email-sender-dev-SenderFunction-1ABC", "7")
