"""Find people with one sentence, and start a workflow that writes to those who are chosen."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import Response

from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn, Visitor
from console_lambda.own_workflows import ANSWER_TEMPLATE, WRITE_TO_PEOPLE, takes_people, workflow_named

router = page_router()
_PEOPLE = (5, 10, 20, 50)


@router.get("/find")
async def find(visitor: SignedIn, q: str = "", limit: int = 10, weak: bool = False) -> Response:
    question = q.strip()
    found: Mapping[str, Any] = {}
    workflows: Sequence[Any] = ()
    templates: Sequence[Any] = ()
    if question:
        search = {
            "collection": "message_vectors",
            "text": question[:2_000],
            "limit": min(max(limit, 1), 50),
            "group_by": "contact",
            "group_size": 3,
            "weak_matches": weak,
        }
        found = visitor.api.post("/vectors/search", search)
        if visitor.may("workflows:execute"):
            workflows = [
                one
                for one in visitor.api.items("/workflows")
                if one["status"] == "active" and takes_people(one["definition"])
            ]
            templates = [one for one in visitor.api.items("/templates") if one["name"] != ANSWER_TEMPLATE["name"]]
    groups = found.get("groups") or []
    return visitor.page(
        "find.html",
        question=question,
        limit=limit,
        weak=weak,
        sizes=_PEOPLE,
        groups=groups,
        nobody=found.get("nobody"),
        period=found.get("period"),
        contacts=_contacts(visitor, [str(group["key"]) for group in groups]),
        workflows=workflows,
        templates=templates,
    )


@router.post("/find/start")
async def start(visitor: SignedIn, form: SentForm) -> Response:
    """Start a run for the chosen people. `people` are JSON: a contact, and the messages that prove the choice."""
    try:
        people = [json.loads(entry) for entry in form.texts("people")]
    except ValueError:
        people = []
    if not people:
        return visitor.page(
            "problem.html", code=422, title="Nobody is chosen", detail="Choose at least one person.", back="/find"
        )
    workflow_id = form.text("workflow")
    if not workflow_id:
        workflow_id = workflow_named(visitor.api, WRITE_TO_PEOPLE)["id"]
    inputs = {"people": people, "template": form.text("template"), "title": form.text("title")[:200]}
    run = visitor.api.post(f"/workflows/{workflow_id}/execute", {"inputs": inputs}, key=form.text("key"))
    return visitor.go_to(f"/runs/{run['id']}", "The run has started. Nothing is sent before somebody approves it.")


def _contacts(visitor: Visitor, ids: Sequence[str]) -> Mapping[str, Any]:
    if not ids:
        return {}
    listed = visitor.api.get("/contacts", id=list(ids), limit=100)
    return {contact["id"]: contact for contact in listed["items"]}
