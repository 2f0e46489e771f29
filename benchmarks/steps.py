"""Benchmark a warm workflow step in the whole local cloud: what it takes beyond the work of its task."""

import statistics
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from local.client import ApiClient, wait_until
from local.cloud import LocalCloud
from local.layout import Layout

_STEPS = 20
_RUNS = 5
_ENDED = ("succeeded", "failed", "cancelled", "timed_out")
# Beside a cloud of `make run` and those of the tests.
PORTS = {
    "api": 38080, "aws": 34566, "postgres": 35433, "qdrant": 36335, "qdrant-grpc": 36336, "mail": 38025, "smtp": 31025,
}  # fmt: skip


def measure(scratch: Path) -> list[dict[str, Any]]:
    with LocalCloud(Layout(scratch), lambda _line: None, PORTS, limited=False) as cloud:
        cloud.start()
        client = sign_in(cloud)
        one, many = (create_workflow(client, length) for length in (1, 1 + _STEPS))
        seconds: dict[str, list[float]] = {one: [], many: []}
        tasks = []
        for _ in range(_RUNS + 1):
            for workflow in (one, many):
                ended = run(client, workflow)
                seconds[workflow].append(_seconds_between(ended["started_at"], ended["finished_at"]))
                tasks += [step["took_ms"] for step in ended["steps"]]
        client.close()
    # The first runs start the functions and are left out.
    step_ms = (statistics.median(seconds[many][1:]) - statistics.median(seconds[one][1:])) * 1000 / _STEPS
    task_ms = statistics.median(tasks)
    return [
        _row("a workflow step, warm, all in all", step_ms),
        _row("… beyond its task's own work", step_ms - task_ms, at_most=30.0),
    ]


def sign_in(cloud: LocalCloud) -> ApiClient:
    """Return a client that is signed in as an administrator of the tenant acme."""
    user = next(user for user in cloud.users if user.username == "admin@acme")
    return ApiClient.sign_in(f"{cloud.api_url}/api/v1", user.username, user.password)


def create_workflow(client: ApiClient, length: int) -> str:
    """Store a workflow of steps that follow one another, and return its id."""
    steps: list[dict[str, Any]] = [
        {
            "id": f"s{number}",
            "uses": "contacts.select",
            "with": {"limit": 1},
            "needs": [f"s{number - 1}"] if number else [],
        }
        for number in range(length)
    ]
    return str(client.post("/workflows", {"definition": {"name": f"bench-{uuid4().hex}", "steps": steps}})["id"])


def run(client: ApiClient, workflow: str) -> dict[str, Any]:
    """Run the workflow to its end, and return the run.

    Raises:
        RuntimeError: the run did not succeed.
    """
    started = client.post(f"/workflows/{workflow}/execute", {"inputs": {}})
    ended = wait_until(lambda: dict(client.get(f"/runs/{started['id']}")), lambda run: run["status"] in _ENDED, 120)
    if ended["status"] != "succeeded":
        raise RuntimeError(f"The run {ended['status']}: {ended['error']}")
    return ended


def _seconds_between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _row(measure: str, value: float, **limits: float) -> dict[str, Any]:
    return {"measure": measure, "value": value, "unit": "ms", "compared_with": "", "compared_value": None,
            "runs": _RUNS, **limits}  # fmt: skip
