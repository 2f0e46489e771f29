"""Pages for operators: managers, failed events and settings."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn

router = page_router()
ACTIONS = ("start", "stop", "restart")


@router.get("/platform")
async def platform(visitor: SignedIn) -> Response:
    return visitor.page("platform.html", seen="", managers=visitor.api.get("/managers/status")["items"])


@router.get("/live/platform")
async def live_platform(visitor: SignedIn) -> Response:
    return visitor.live("platform_live.html", managers=visitor.api.get("/managers/status")["items"])


@router.get("/platform/managers/{name}")
async def manager(visitor: SignedIn, name: str) -> Response:
    managers = visitor.api.get("/managers/status")["items"]
    shown = next((one for one in managers if one["name"] == name), None)
    if shown is None:
        raise ApiProblem(404, {"detail": "There is no such manager."})
    return visitor.page("manager.html", manager=shown, affected=_dependents(managers, name))


@router.post("/platform/managers/{name}")
async def operate(visitor: SignedIn, form: SentForm, name: str) -> Response:
    action = form.text("action")
    if action not in ACTIONS:
        raise ApiProblem(422, {"detail": "Choose start, stop or restart."})
    cascade = "?cascade=true" if form.is_on("cascade") else ""
    visitor.api.post(f"/managers/{name}/{action}{cascade}")
    return visitor.go_to(f"/platform/managers/{name}", f"{action.capitalize()} was accepted.")


@router.get("/platform/events")
async def failed_events(visitor: SignedIn, consumer: str = "", status: str = "", cursor: str = "") -> Response:
    page = visitor.api.get("/events/failed", consumer=consumer, status=status, cursor=cursor, limit=50)
    events = [{**event, "text": json.dumps(event["event"], ensure_ascii=False, indent=1)} for event in page["items"]]
    return visitor.page(
        "failed_events.html", events=events, next_cursor=page["next_cursor"], consumer=consumer, status=status
    )


@router.post("/platform/events/redrive")
async def redrive(visitor: SignedIn, form: SentForm) -> Response:
    ids = form.texts("id")
    if not ids:
        detail = "Go back and choose at least one event."
        return visitor.page(
            "problem.html", code=422, title="No event is chosen", detail=detail, back="/platform/events"
        )
    answer = visitor.api.post("/events/failed/redrive", {"ids": ids})
    return visitor.go_to("/platform/events", f"Events sent to their consumer again: {len(answer['redriven'])}.")


@router.get("/platform/settings")
async def settings(visitor: SignedIn) -> Response:
    current, history = visitor.api.get_all(("/config", {}), ("/config/history", {"limit": 20}))
    return visitor.page("settings.html", **_settings(current, history, None, []))


@router.post("/platform/settings")
async def change_settings(visitor: SignedIn, form: SentForm) -> Response:
    text, version = form.text("settings"), form.number("version")
    try:
        body = json.loads(text)
        visitor.api.put("/config", body, version=version)
    except ValueError as error:
        problems: Sequence[Mapping[str, Any]] = [{"pointer": "", "message": f"This is not JSON: {error}"}]
    except ApiProblem as problem:
        if problem.status not in (400, 409, 412, 422):
            raise
        problems = problem.errors
    else:
        return visitor.go_to("/platform/settings", "The settings are stored. Functions apply them within seconds.")
    current, history = visitor.api.get_all(("/config", {}), ("/config/history", {"limit": 20}))
    return visitor.page("settings.html", code=422, **_settings(current, history, text, problems))


@router.post("/platform/settings/rollback")
async def roll_back(visitor: SignedIn, form: SentForm) -> Response:
    visitor.api.post("/config/rollback", {"version": form.number("version")})
    return visitor.go_to("/platform/settings", "The earlier settings are in force again.")


def _settings(
    current: Mapping[str, Any], history: Mapping[str, Any], text: str | None, problems: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    stored = json.dumps(current["settings"], indent=2)
    return {"current": current, "history": history["items"], "text": text or stored, "problems": problems}


def _dependents(managers: Sequence[Mapping[str, Any]], name: str) -> Sequence[str]:
    """Return the managers that cannot work without this one, nearest first."""
    found: list[str] = []
    frontier = [name]
    while frontier:
        needed = frontier.pop(0)
        for one in managers:
            if needed in one["depends_on"] and one["name"] not in found:
                found.append(one["name"])
                frontier.append(one["name"])
    return found
