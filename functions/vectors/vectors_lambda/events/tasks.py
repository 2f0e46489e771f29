"""Lambda tasks of workflow steps: the actions vectors.search and vectors.insert, and passages for n8n.node."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.kit.tasks.call import TaskCall, as_list
from email_sender.kit.tasks.handler import Action, task_handler
from email_sender.security.permissions import Permission
from email_sender.vectors.model import Group, Hit
from vectors_lambda.bootstrap.core import gate, vector_service, workflow_units
from vectors_lambda.events import passages
from vectors_lambda.http.schemas.points import InsertIn
from vectors_lambda.http.schemas.searches import SearchIn

# At most this many ids are returned, to keep the result small. To know all ids, set them in the step.
_MAX_IDS = 20


def search(call: TaskCall) -> Mapping[str, Any]:
    """Search, and return ids, scores and places of passages: payloads and texts do not enter the state machine."""
    request = call.parse(SearchIn)
    answer = vector_service().search(call.tenant_id, request.collection, request.search())
    nobody = {"nobody": answer.nobody is not None}
    if request.group_by is None:
        return {"results": [_hit(hit) for hit in answer.result if isinstance(hit, Hit)], **nobody}
    groups = [
        {"key": str(group.key), "score": group.score, "hits": [_hit(hit) for hit in group.hits]}
        for group in answer.result
        if isinstance(group, Group)
    ]
    return {"groups": groups, **nobody}


def _hit(hit: Hit) -> dict[str, Any]:
    passage = hit.message.passage if hit.message else None
    place = {"passage": {"start": passage.start, "end": passage.end}} if passage else {}
    return {"id": str(hit.id), "score": hit.score, **place}


def insert(call: TaskCall) -> Mapping[str, Any]:
    """Insert points. A missing id is derived from the run, step and item, so a repeat writes the same points."""
    point_list = as_list(call.arguments.get("points"))
    request = replace(call, arguments={**call.arguments, "points": point_list}).parse(InsertIn)
    new_points = [point.point(number, call.idempotency_key()) for number, point in enumerate(request.points)]
    inserted = vector_service().insert(call.tenant_id, request.collection, new_points)
    return {"inserted": inserted, "ids": [str(point.id) for point in new_points[:_MAX_IDS]]}


ACTIONS = {
    "vectors.search": Action(search, Permission.VECTORS_READ),
    "vectors.insert": Action(insert, Permission.VECTORS_WRITE),
}
_run_action = task_handler(ACTIONS, workflow_units, gate)


def handler(event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
    return passages.handler(event, context) if event.get("kind") == "passages" else _run_action(event, context)
