"""A run: its graph, its steps with their results, its story, and what can be done about it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi.responses import Response

from console_lambda.http.outcomes import counts_of, outcomes_of
from console_lambda.http.page import page_router
from console_lambda.http.story_words import story_words
from console_lambda.http.visitor import SentForm, SignedIn, Visitor

router = page_router()
ENDED = ("succeeded", "failed", "cancelled", "timed_out")
_SHOWN_RESULT = 4_000
_SHOWN_COLUMNS = 6

_CAUSES = {
    "request": "by a request",
    "call": "by another workflow",
    "event": "by an event",
    "schedule": "by its schedule",
    "webhook": "by its webhook",
}


@router.get("/runs/{run_id}")
async def run(visitor: SignedIn, run_id: UUID, then: str = "") -> Response:
    """Show a run. With `then=approve`, the page goes on to its approval as soon as there is one."""
    shown = _run(visitor, run_id)
    if then == "approve" and shown["pending"]:
        return visitor.go_to(_approval_of(shown))
    return visitor.page("run.html", seen="", then=then, **shown)


@router.get("/live/runs/{run_id}")
async def live_run(visitor: SignedIn, run_id: UUID, then: str = "") -> Response:
    shown = _run(visitor, run_id)
    if then == "approve" and shown["pending"]:
        return visitor.go_to(_approval_of(shown))
    return visitor.live("run_live.html", then=then, **shown)


@router.get("/runs/{run_id}/items/{items_id}")
async def stored_items(visitor: SignedIn, run_id: UUID, items_id: UUID, cursor: str = "") -> Response:
    """Show items that a step stored, with the fields that they have as columns."""
    page = visitor.api.get(f"/runs/{run_id}/items/{items_id}", cursor=cursor, limit=50)
    names = list(dict.fromkeys(name for item in page["items"] for name in item))
    columns, others = names[:_SHOWN_COLUMNS], names[_SHOWN_COLUMNS:]
    first = int(cursor or 0) + 1
    items = [
        {
            "number": number,
            "texts": [_text(item[column]) if column in item else "" for column in columns],
            "more": _text({name: item[name] for name in others if name in item}),
        }
        for number, item in enumerate(page["items"], first)
    ]
    shown = {"items": items, "columns": columns, "has_more": bool(others), "next_cursor": page["next_cursor"]}
    return visitor.page("items.html", run_id=run_id, items_id=items_id, **shown)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _approval_of(shown: Mapping[str, Any]) -> str:
    return f"/approvals/{shown['pending'][0]['id']}"


@router.post("/runs/{run_id}/cancel")
async def cancel(visitor: SignedIn, run_id: UUID) -> Response:
    visitor.api.post(f"/runs/{run_id}/cancel")
    return visitor.go_to(f"/runs/{run_id}", "The run is cancelled. Finished steps are not undone.")


@router.post("/runs/{run_id}/retry")
async def retry(visitor: SignedIn, form: SentForm, run_id: UUID) -> Response:
    beginning = form.text("from", "failed")
    started = visitor.api.post(f"/runs/{run_id}/retry", {"from": beginning, "version": "same"}, key=form.text("key"))
    notice = "A new run goes on from the failed step. What was sent is not sent again."
    if beginning == "start":
        notice = "A new run has started from the beginning. It can write to the same people again."
    return visitor.go_to(f"/runs/{started['id']}", notice)


def _run(visitor: Visitor, run_id: UUID) -> dict[str, Any]:
    requests: list[tuple[str, dict[str, Any]]] = [(f"/runs/{run_id}", {}), (f"/runs/{run_id}/story", {})]
    if visitor.may("workflows:approve"):
        requests.append(("/approvals", {"status": "pending", "limit": 100}))
    if visitor.may("tenant:manage"):
        requests.append(("/members", {"limit": 60}))
    shown, story, *others = visitor.api.get_all(*requests)
    found = dict(zip((path for path, _query in requests[2:]), others, strict=True))
    pending = [one for one in found.get("/approvals", {"items": []})["items"] if one["run_id"] == str(run_id)]
    outcomes = outcomes_of(visitor, str(run_id))
    steps = [
        {**step, "shown_result": _short(step["result"]), "stored": _stored(step["result"])}
        for step in _in_order(shown["steps"])
    ]
    return {
        "run": shown,
        "cause": _CAUSES.get(shown.get("cause"), ""),
        "steps": steps,
        "story": [{**entry, "words": story_words(entry)} for entry in story["items"]],
        "outcomes": outcomes,
        "counts": counts_of(outcomes),
        "contacts": {outcome.contact_id: outcome.name for outcome in outcomes},
        "names": {member["subject"]: member["email"] for member in found.get("/members", {"items": []})["items"]},
        "pending": pending,
        "asked": any(entry["what"] == "approval.requested" for entry in story["items"]),
        "inputs": json.dumps(shown["inputs"], ensure_ascii=False, indent=1),
        "ended": shown["status"] in ENDED,
        # The picture changes when a step does.
        "picture": f"{shown['status']}-{len(steps)}-{sum(step['finished_at'] is not None for step in steps)}",
    }


def _in_order(steps: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return the steps in the order in which they began, with the items of each in theirs."""
    began: dict[str, int] = {}
    for step in steps:
        began.setdefault(step["step"], len(began))
    return sorted(steps, key=lambda step: (began[step["step"]], step["item"] if step["item"] is not None else -1))


def _stored(result: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return the references to stored items in a step's result, by the name of the output."""
    lists = result.get("items") if isinstance(result, Mapping) else None
    if not isinstance(lists, Mapping):
        return {}
    return {name: one for name, one in lists.items() if isinstance(one, Mapping) and "stored_items" in one}


def _short(result: Any) -> str:
    text = "" if result is None else json.dumps(result, ensure_ascii=False, indent=1)
    return text if len(text) <= _SHOWN_RESULT else text[:_SHOWN_RESULT] + " …"
