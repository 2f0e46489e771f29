"""events/<area>/*.json: a sample invocation of every function, replayed on the deployed functions.

A file is named after the handler's module, and after a dot for what it shows. What they refer to does not exist, so a
task answers `not_found`: that is what a replay of a stranger's event has to give.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.aws.intrinsics import read_template
from local.layout import ROOT
from tests.conftest import Platform

SAMPLES = sorted(path for path in (ROOT / "events").glob("*/*.json") if path.parent.name != "schemas")

# HTTP: the status. Otherwise a part of the answer, or the name of the error.
EXPECTED: dict[str, Any] = {
    "gateway/handler.health": 200,
    "gateway/handler.status": 200,
    "gateway/handler.openapi": 200,
    "gateway/pretoken": {"triggerSource": "TokenGeneration_Authentication"},
    "vectors/handler.search": 200,
    "vectors/handler.insert": 200,
    "vectors/handler.batch": 200,
    "vectors/handler.searches": 200,
    "vectors/handler.plan": 200,
    "vectors/handler.jobs": 200,
    "vectors/handler.collections": 200,
    "vectors/handler.forbidden": 403,
    "vectors/tasks": "not_found",
    "vectors/import_start": {"batchItemFailures": []},
    # No such object: its queue keeps the record.
    "vectors/received": {"batchItemFailures": [{"itemIdentifier": "00000000-0000-0000-0000-000000000001"}]},
    "vectors/import_steps.plan": "not_found",
    "vectors/import_chunk": "not_found",
    "vectors/bulk_plan": "not_found",
    "vectors/bulk_chunk": "not_found",
    "vectors/job_steps": "not_found",
    "vectors/backup_points": "not_found",
    "vectors/sweep": {"started": 0},
    "vectors/prepare": {"made": []},
    "messaging/handler.contacts": 200,
    "messaging/handler.unsubscribe": 404,
    "messaging/tasks.render": "not_found",
    "messaging/sender": "not_found",
    "messaging/ses_events.delivery": {"batchItemFailures": []},
    "messaging/ses_events.bounce": {"batchItemFailures": []},
    "messaging/ses_events.complaint": {"batchItemFailures": []},
    "workflows/handler.actions": 200,
    "workflows/handler.validate": 200,
    "workflows/tasks.approval": "not_found",
    "workflows/tasks.generate": "not_found",
    "workflows/tasks.call": "not_found",
    "workflows/tasks.reply": "not_found",
    "workflows/outbound": "forbidden",
    "workflows/answers": {"batchItemFailures": []},
    "workflows/triggered": {"batchItemFailures": []},
    "workflows/triggered.schedule": {"batchItemFailures": []},
    "workflows/run_hooks": {},
    "workflows/execution_events": {"batchItemFailures": []},
    "workflows/sweep": {},
    "coordinator/handler.events": 200,
    "coordinator/handler.publish_as_us": 422,
    "coordinator/handler.managers": 200,
    "coordinator/handler.audit": 200,
    "coordinator/handler.failed": 200,
    "coordinator/dead_letters": {"kept": 1},
    "coordinator/observe": {"central-coordinator": "running"},
    "coordinator/recorder": {"batchItemFailures": []},
    "coordinator/relay": {},
    "coordinator/housekeeping": {},
    "coordinator/backup_steps": "not_found",
    "coordinator/migrate": {"applied": []},
}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def functions() -> dict[str, str]:
    """ "area/module" → the function's logical id."""
    resources = read_template(ROOT / "template.yaml")["Resources"]
    return {
        "/".join(resource["Properties"]["Handler"].split(".")[:2]): logical_id
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def test_every_function_has_a_sample_and_every_sample_a_function() -> None:
    sampled = {name_of(path).split(".")[0] for path in SAMPLES}
    assert sampled == set(functions())
    assert {name_of(path) for path in SAMPLES} == set(EXPECTED)


@pytest.fixture(scope="module")
def answers(platform: Platform) -> dict[str, tuple[str, Any]]:
    """The error and the body that each sample gave, several at a time: most of each is a function's first start."""
    named = functions()

    def replay(path: Path) -> tuple[str, Any]:
        function = platform.function(named[name_of(path).split(".")[0]])
        answer = platform.aws("lambda").invoke(FunctionName=f"{function}:live", Payload=path.read_bytes())
        return answer.get("FunctionError", ""), json.loads(answer["Payload"].read())

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(map(name_of, SAMPLES), threads.map(replay, SAMPLES), strict=True))


@pytest.mark.parametrize("name", [name_of(path) for path in SAMPLES])
def test_a_sample_gives_what_it_should(answers: dict[str, tuple[str, Any]], name: str) -> None:
    error, body = answers[name]
    expected = EXPECTED[name]
    if isinstance(expected, str):
        assert error
        assert body["errorType"] == expected, body
    elif isinstance(expected, int):
        assert body["statusCode"] == expected, body
    else:
        assert not error, body
        assert expected.items() <= body.items()
