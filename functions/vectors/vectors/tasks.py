"""Workflow actions of vectors: vectors.search."""

from collections.abc import Mapping
from typing import Any

from email_sender.kit.tasks import Action, TaskCall, task_handler
from email_sender.security.permissions import Permission
from email_sender.vectors.model import Group
from vectors.bootstrap import vector_service, workflow_units
from vectors.search_schemas import SearchIn


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


handler = task_handler({"vectors.search": Action(search, Permission.VECTORS_READ)}, workflow_units)
