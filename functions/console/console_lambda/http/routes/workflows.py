"""Workflows: the list, the editor with the validator's messages at their lines, versions, and a form to start a run."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi.responses import Response

from console_lambda import bootstrap
from console_lambda.api import ApiProblem
from console_lambda.definitions import as_yaml, line_of
from console_lambda.http.page import page_router
from console_lambda.http.visitor import Form, SentForm, SignedIn, Visitor
from console_lambda.input_forms import InvalidInputs, fields_of, inputs_from

router = page_router()
_NEW = """name: my-workflow
description: What this workflow is for
inputs:
  type: object
  properties: {}
steps:
  - id: first
    uses: transform
    with: {hello: world}
"""
# An SVG of the API has styles in it. As a picture it can neither run scripts nor load anything.
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@router.get("/workflows")
async def workflows(visitor: SignedIn, cursor: str = "") -> Response:
    page, runs = visitor.api.get_all(("/workflows", {"cursor": cursor, "limit": 50}), ("/runs", {"limit": 20}))
    names = {workflow["id"]: workflow["name"] for workflow in page["items"]}
    return visitor.page("workflows.html", page=page, runs=runs["items"], names=names)


@router.get("/workflows/new")
async def new(visitor: SignedIn) -> Response:
    return visitor.page("workflow_edit.html", workflow=None, text=_NEW, problems=[])


@router.post("/workflows/check")
async def check(visitor: SignedIn, form: SentForm) -> Response:
    return visitor.page("problems.html", problems=_problems(visitor, form.text("definition")), checked=True)


@router.post("/workflows/new")
async def create(visitor: SignedIn, form: SentForm) -> Response:
    text = form.text("definition")
    try:
        stored = visitor.api.post("/workflows", {"definition": text}, key=form.text("key"))
    except ApiProblem as problem:
        return _refused(visitor, problem, None, text)
    return visitor.go_to(f"/workflows/{stored['id']}", "The workflow is stored.")


@router.get("/workflows/{workflow_id}")
async def workflow(visitor: SignedIn, workflow_id: UUID) -> Response:
    return _page(visitor, workflow_id)


@router.get("/workflows/{workflow_id}/edit")
async def edit(visitor: SignedIn, workflow_id: UUID) -> Response:
    shown = visitor.api.get(f"/workflows/{workflow_id}")
    return visitor.page("workflow_edit.html", workflow=shown, text=as_yaml(shown["definition"]), problems=[])


@router.post("/workflows/{workflow_id}/edit")
async def change(visitor: SignedIn, form: SentForm, workflow_id: UUID) -> Response:
    text, version = form.text("definition"), form.number("version")
    try:
        visitor.api.put(f"/workflows/{workflow_id}", {"definition": text}, version=version)
    except ApiProblem as problem:
        return _refused(visitor, problem, {"id": str(workflow_id), "version": version, "name": "workflow"}, text)
    return visitor.go_to(f"/workflows/{workflow_id}", "The new version is stored. Runs that have begun keep theirs.")


@router.post("/workflows/{workflow_id}/run")
async def run(visitor: SignedIn, form: SentForm, workflow_id: UUID) -> Response:
    shown = visitor.api.get(f"/workflows/{workflow_id}")
    try:
        inputs = inputs_from(shown["definition"], form.starting_with("input."))
        started = visitor.api.post(f"/workflows/{workflow_id}/execute", {"inputs": inputs}, key=form.text("key"))
    except InvalidInputs as error:
        return _again(visitor, form, workflow_id, str(error))
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        return _again(visitor, form, workflow_id, problem.detail)
    return visitor.go_to(f"/runs/{started['id']}", "The run has started.")


@router.get("/forms/{workflow_id}")
async def show_form(visitor: SignedIn, workflow_id: UUID) -> Response:
    """Show what a workflow asks for, and nothing else of it."""
    return _form_page(visitor, workflow_id)


def _form_page(
    visitor: Visitor, workflow_id: UUID, code: int = 200, problem: str = "", typed: Mapping[str, str] | None = None
) -> Response:
    shown = visitor.api.get(f"/workflows/{workflow_id}")
    values = {"fields": fields_of(shown["definition"]), "page": "form", "problem": problem, "typed": typed or {}}
    return visitor.page("form.html", code=code, workflow=shown, **values)


def _again(visitor: Visitor, form: Form, workflow_id: UUID, problem: str) -> Response:
    """Show the page from which a form was sent, with what was typed."""
    typed = form.starting_with("input.")
    if form.text("page") == "form":
        return _form_page(visitor, workflow_id, code=422, problem=problem, typed=typed)
    return _page(visitor, workflow_id, status=422, problem=problem, typed=typed)


@router.post("/workflows/{workflow_id}/triggers/{trigger_id}/secret")
async def renew_secret(visitor: SignedIn, workflow_id: UUID, trigger_id: UUID) -> Response:
    """Make a new secret of an inbound webhook, and show it with its address."""
    triggers = visitor.api.get(f"/workflows/{workflow_id}/triggers")["items"]
    answer = visitor.api.post(f"/workflows/{workflow_id}/triggers/{trigger_id}/secret")
    trigger = next(trigger for trigger in triggers if trigger["id"] == str(trigger_id))
    return visitor.page(
        "trigger_secret.html",
        workflow_id=workflow_id,
        address=bootstrap.settings().api_url + trigger["path"],
        takes_secret=trigger["definition"].get("auth") == "secret",
        **answer,
    )


@router.post("/workflows/{workflow_id}/archive")
async def archive(visitor: SignedIn, workflow_id: UUID) -> Response:
    visitor.api.delete(f"/workflows/{workflow_id}")
    return visitor.go_to("/workflows", "The workflow is archived. It starts no more runs.")


@router.get("/workflows/{workflow_id}/graph.svg")
async def graph(visitor: SignedIn, workflow_id: UUID, run: str = "") -> Response:
    response = visitor.api.send("GET", f"/workflows/{workflow_id}/graph", params={"run": run} if run else {})
    headers = {"content-security-policy": _PICTURE_POLICY, "cache-control": "private, max-age=60"}
    return Response(response.content, media_type="image/svg+xml", headers=headers)


@router.get("/workflows/{workflow_id}/diff")
async def diff(visitor: SignedIn, workflow_id: UUID, before: int, after: int) -> Response:
    difference = visitor.api.get(f"/workflows/{workflow_id}/diff", before=before, after=after)
    return visitor.page(
        "workflow_diff.html", workflow_id=workflow_id, before=before, after=after, lines=difference["text"].splitlines()
    )


def _page(
    visitor: Visitor, workflow_id: UUID, status: int = 200, problem: str = "", typed: Mapping[str, str] | None = None
) -> Response:
    shown, versions, runs, triggers = visitor.api.get_all(
        (f"/workflows/{workflow_id}", {}),
        (f"/workflows/{workflow_id}/versions", {"limit": 10}),
        (f"/workflows/{workflow_id}/runs", {"limit": 20}),
        (f"/workflows/{workflow_id}/triggers", {}),
    )
    return visitor.page(
        "workflow.html",
        code=status,
        workflow=shown,
        text=as_yaml(shown["definition"]),
        versions=versions["items"],
        runs=runs["items"],
        triggers=triggers["items"],
        words_of=_words_of,
        address=bootstrap.settings().api_url,
        fields=fields_of(shown["definition"]),
        page="workflow",
        typed=typed or {},
        problem=problem,
        dumps=json.dumps,
    )


def _words_of(trigger: Mapping[str, Any]) -> str:
    """Return what starts runs by a trigger."""
    definition = trigger["definition"]
    match trigger["kind"]:
        case "schedule":
            return f"At the times {definition['cron']} ({definition['timezone']})"
        case "event":
            event = definition["event"]
            kinds = ", ".join(map(str, event.get("detail-type", ["of all types"])))
            return f"For events {kinds} of {', '.join(event['source'])}"
        case _:
            proof = "send its secret" if definition.get("auth") == "secret" else "sign what they post"
            return f"A webhook, whose callers {proof}"


def _problems(visitor: Visitor, text: str) -> list[Mapping[str, Any]]:
    """Return what the validator says about a definition, with the lines."""
    try:
        visitor.api.post("/workflows/validate", {"definition": text})
    except ApiProblem as problem:
        if problem.status not in (400, 422):
            raise
        return _with_lines(problem, text)
    return []


def _with_lines(problem: ApiProblem, text: str) -> list[Mapping[str, Any]]:
    return [{**error, "line": line_of(text, error["pointer"])} for error in problem.errors]


def _refused(visitor: Visitor, problem: ApiProblem, workflow: Mapping[str, Any] | None, text: str) -> Response:
    if problem.status not in (400, 409, 422):
        raise problem
    problems = _with_lines(problem, text)
    return visitor.page("workflow_edit.html", code=problem.status, workflow=workflow, text=text, problems=problems)
