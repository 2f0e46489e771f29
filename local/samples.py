"""The sample invocations events/<area>/*.json, one or more for every function, and their expected results.

A file has the name of the handler's module and, after a dot, of the case. The samples refer to objects that do not
exist, so a task returns `not_found`, as it must for an event of another installation. tests/e2e/test_sample_events.py
replays them on the deployed functions, and local/sam in Lambda's containers.
"""

import json
from pathlib import Path
from typing import Any

from local.aws.intrinsics import read_template
from local.layout import ROOT

SAMPLES = sorted(path for path in (ROOT / "events").glob("*/*.json") if path.parent.name != "schemas")

_MAX_SHOWN = 600

# For HTTP the status, otherwise a part of the response or the error type.
EXPECTED: dict[str, Any] = {
    "gateway/handler.health": 200,
    "gateway/handler.status": 200,
    "gateway/handler.openapi": 200,
    "gateway/pre_token": {"triggerSource": "TokenGeneration_Authentication"},
    # CodeDeploy, which the local cloud lacks, gets the answer that the deployment failed, and refuses it.
    "gateway/pre_traffic": "ClientError",
    "console/handler.signed_out": 200,
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
    # The object does not exist, so the record stays in its queue.
    "vectors/inbound_mail": {"batchItemFailures": [{"itemIdentifier": "00000000-0000-0000-0000-000000000001"}]},
    "vectors/import_steps.plan": "not_found",
    "vectors/mailbox_import_chunk": "not_found",
    "vectors/vectors_import_plan": "not_found",
    "vectors/vectors_import_chunk": "not_found",
    "vectors/job_steps": "not_found",
    "vectors/backup_points": "not_found",
    "vectors/restore_points": "rejected",
    "vectors/sweep": {"started": 0},
    "vectors/collection_setup": {"made": []},
    "messaging/handler.contacts": 200,
    "messaging/handler.unsubscribe": 404,
    "messaging/tasks.render": "not_found",
    "messaging/email_send": "not_found",
    "messaging/notifications": {"batchItemFailures": []},
    "messaging/webhooks": {"batchItemFailures": []},
    "messaging/notification_sweep": {"forgotten": 0},
    "messaging/ses_events.delivery": {"batchItemFailures": []},
    "messaging/ses_events.bounce": {"batchItemFailures": []},
    "messaging/ses_events.complaint": {"batchItemFailures": []},
    "workflows/handler.actions": 200,
    "workflows/handler.validate": 200,
    "workflows/tasks.approval": "not_found",
    "workflows/tasks.generate": "not_found",
    "workflows/tasks.call": "not_found",
    "workflows/tasks.reply": "not_found",
    "workflows/outbound_requests": "forbidden",
    "sandbox/handler": {
        "result": '{"runs":{"Add":[{"outputs":[[{"name":"Ada","greeting":"Dear Ada"}]]}]},"error":null}'
    },
    "workflows/email_outcomes": {"batchItemFailures": []},
    "workflows/trigger_invocations": {"batchItemFailures": []},
    "workflows/trigger_invocations.schedule": {"batchItemFailures": []},
    "workflows/run_ended": {},
    "workflows/execution_events": {"batchItemFailures": []},
    "workflows/sweep": {},
    "coordinator/handler.events": 200,
    "coordinator/handler.publish_as_us": 422,
    "coordinator/handler.managers": 200,
    "coordinator/handler.audit": 200,
    "coordinator/handler.failed": 200,
    "coordinator/handler.config": 200,
    "coordinator/handler.config_history": 200,
    "coordinator/handler.config_validate": 200,
    "coordinator/handler.config_with_a_secret": 422,
    "coordinator/dead_letters": {"kept": 1},
    "coordinator/observe": {"central-coordinator": "running"},
    "coordinator/observe.deployed": {"central-coordinator": "running"},
    "coordinator/recorder": {"batchItemFailures": []},
    "coordinator/daily_report": {},
    "coordinator/metric_totals": {"series": 1, "spans": 0},
    "coordinator/relay": {},
    "coordinator/housekeeping": {},
    "coordinator/records": {},
    "coordinator/key_rotation": {"failed": 0},
    "vectors/tenant_deletion": {},
    "vectors/retention": {},
    "coordinator/backup_steps": "not_found",
    "coordinator/migrate": {"applied": []},
}


def name_of(path: Path) -> str:
    """Return the name of a sample: "area/module" or "area/module.case"."""
    return f"{path.parent.name}/{path.stem}"


def functions() -> dict[str, str]:
    """Return the logical id of each function by "area/module"."""
    resources = read_template(ROOT / "template.yaml")["Resources"]
    return {
        _sample_name(resource["Properties"]["Handler"]): logical_id
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def difference(name: str, body: Any, *, failed: bool) -> str | None:
    """Return how a sample's result differs from the expected one, or None if it matches."""
    expected = EXPECTED[name]
    if isinstance(expected, str):
        actual = body.get("errorType") if failed else "no error"
        return None if actual == expected else f"{actual} instead of the error {expected}: {_short(body)}"
    if failed:
        return f"The function failed with {body.get('errorType')}: {_short(body)}"
    if isinstance(expected, int):
        actual = body.get("statusCode") if isinstance(body, dict) else body
        return None if actual == expected else f"Status {actual} instead of {expected}: {_short(body)}"
    actual = body if isinstance(body, dict) else {}
    missing_values = {key: value for key, value in expected.items() if key not in actual or actual[key] != value}
    return f"The response lacks {missing_values}: {_short(body)}" if missing_values else None


def _short(body: Any) -> str:
    text = json.dumps(body)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]} …"


def _sample_name(handler: str) -> str:
    """Return `area/module` of a handler such as `vectors_lambda.events.sweep.handler`."""
    package, *_, module, _ = handler.split(".")
    return f"{package.removesuffix('_lambda')}/{module}"
