"""Workflow actions of vectors: vectors.search, vectors.insert."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from email_sender.kit.tasks import Action, TaskCall, as_list, task_handler
from email_sender.security.permissions import Permission
from email_sender.vectors.model import Group
from vectors.bootstrap import gate, vector_service, workflow_units
from vectors.schemas import InsertIn
from vectors.search_schemas import SearchIn

# A result stays small: who inserts more names the points.
_MAX_IDS = 20


def search(call: TaskCall) -> Mapping[str, Any]:
    """Ids and scores: payloads and texts stay where they are."""
    asked = call.parse(SearchIn)
    found = vector_service().search(call.tenant_id, asked.collection, asked.search())
    if asked.group_by is None:
        return {"results": [{"id": str(hit.id), "score": hit.score} for hit in found if not isinstance(hit, Group)]}
    return {
        "groups": [
            {
                "key": str(group.key),
                "score": group.score,
                "hits": [{"id": str(hit.id), "score": hit.score} for hit in group.hits],
            }
            for group in found
            if isinstance(group, Group)
        ]
    }


def insert(call: TaskCall) -> Mapping[str, Any]:
    """A point without an id gets one made of the run's, step's and item's: a repeat writes the same points."""
    listed = as_list(call.arguments.get("points"))
    asked = replace(call, arguments={**call.arguments, "points": listed}).parse(InsertIn)
    made = [point.point(number, call.key()) for number, point in enumerate(asked.points)]
    inserted = vector_service().insert(call.tenant_id, asked.collection, made)
    return {"inserted": inserted, "ids": [str(each.id) for each in made[:_MAX_IDS]]}


ACTIONS = {
    "vectors.search": Action(search, Permission.VECTORS_READ),
    "vectors.insert": Action(insert, Permission.VECTORS_WRITE),
}
handler = task_handler(ACTIONS, workflow_units, gate)
