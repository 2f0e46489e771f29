"""Rehearse the loss of everything: back up under load, lose the database and the vectors, restore, compare.

    python -m local.drill          # `make drill`

It runs in a stage of its own, which it creates and destroys: a folder with a mark. It refuses any other folder. What is
left after the loss is what a deleted stack leaves on AWS: the buckets, and the keys.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console

from email_sender.backups import manifest as manifests
from local.aws.deploy import DeploymentFailed, client_factory
from local.client import ApiClient, ApiError, wait_until
from local.cloud import LocalCloud, NotBuilt, Report
from local.layout import ROOT, Layout, ports_above
from local.postgres import PostgresFailed
from local.processes import NotReady
from local.temporary_stage import NotTemporary, temporary_stage

HOME = ROOT / ".local/drill"
PORTS = ports_above(12_000)
_COLLECTION, _SIZE, _FIRST_ID = "document_vectors", 768, 7_000_000
_WRITES_BEFORE_THE_BACKUP, _SECONDS_AFTER_THE_BACKUP = 30, 3.0

type Json = dict[str, Any]


class DrillFailed(RuntimeError):
    """The drill could not run, or the restored platform lacks something. The message says what."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Acknowledged writes, and seconds. `recovery_seconds` is from the loss until the first search found a point."""

    writes_before_backup: int
    lost_before_backup: int
    writes_since_backup: int
    lost_since_backup: int
    seconds_since_backup: float
    start_seconds: float
    restore_seconds: float
    recovery_seconds: float


@dataclass
class Writers(threading.Thread):
    """Adds contacts and points until the platform is gone. `written` has the time of each acknowledged pair."""

    client: ApiClient
    written: dict[int, datetime] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        number = 0
        while not self.stop.is_set():
            points = [{"id": _FIRST_ID + number, "vector": _vector(number), "payload": {"number": number}}]
            try:
                self.client.post("/contacts", {"email": f"person-{number}@drill.example", "name": f"Person {number}"})
                self.client.post("/vectors/insert", {"collection": _COLLECTION, "points": points})
            except (ApiError, httpx.HTTPError):
                continue
            finally:
                number += 1
            self.written[number - 1] = datetime.now(UTC)


def drill(home: Path, report: Report, ports: dict[str, int] | None = None) -> Outcome:
    """Run the drill in `home`, and remove it.

    Raises:
        NotTemporary: the folder is not that of a drill.
        DrillFailed: a step failed.
    """
    with temporary_stage(home) as layout:
        return _drill(layout, report, ports or PORTS)


def _drill(layout: Layout, report: Report, ports: dict[str, int]) -> Outcome:
    with LocalCloud(layout, report, ports, limited=False) as cloud:
        cloud.start()
        writers = Writers(_sign_in(cloud))
        writers.start()
        wait_until(lambda: len(writers.written), lambda count: count >= _WRITES_BEFORE_THE_BACKUP, 120)
        backup = _run_machine(cloud, cloud.outputs["BackupMachine"], {})["location"]
        taken_at = _read_moment(cloud, backup)
        report(f"Backed up under load to {backup}")
        time.sleep(_SECONDS_AFTER_THE_BACKUP)
        for part in ("postgres", "qdrant"):
            os.kill(cloud.pid(part), signal.SIGKILL)
        lost_at, lost = datetime.now(UTC), time.monotonic()
        writers.stop.set()
    for part in ("postgres", "qdrant"):
        shutil.rmtree(layout.directory(part))
    writers.join(60)
    writers.client.close()
    report("Lost the database and all vectors")
    with LocalCloud(layout, report, ports, tenants=(), limited=False) as cloud:
        cloud.start()
        started = time.monotonic()
        _run_machine(cloud, cloud.outputs["RestoreMachine"], {"backup": backup})
        cloud.sign_up_users()
        restored = time.monotonic()
        client = _sign_in(cloud)
        present = _numbers_of_points(client, max(writers.written)) & _numbers_of_contacts(client)
        recovered = time.monotonic()
        client.close()
    before = {number for number, at in writers.written.items() if at < taken_at}
    since = writers.written.keys() - before
    return Outcome(
        len(before), len(before - present), len(since), len(since - present), (lost_at - taken_at).total_seconds(),
        started - lost, restored - started, recovered - lost,
    )  # fmt: skip


def _sign_in(cloud: LocalCloud) -> ApiClient:
    user = next(user for user in cloud.users if user.username == "admin@acme")
    return ApiClient.sign_in(f"{cloud.api_url}/api/v1", user.username, user.password)


def _run_machine(cloud: LocalCloud, machine: str, machine_input: Json) -> Json:
    step_functions = client_factory(cloud.aws_url)("stepfunctions")
    execution = step_functions.start_execution(
        stateMachineArn=machine, name=f"drill-{uuid4()}", input=json.dumps(machine_input)
    )["executionArn"]
    final_state = wait_until(
        lambda: step_functions.describe_execution(executionArn=execution),
        lambda state: state["status"] != "RUNNING",
        600,
    )
    if final_state["status"] != "SUCCEEDED":
        raise DrillFailed(f"{machine.rpartition(':')[2]} {final_state['status']}: {final_state.get('cause', '')}")
    return dict(json.loads(final_state["output"]))


def _read_moment(cloud: LocalCloud, backup: str) -> datetime:
    bucket, _, folder = backup.removeprefix("s3://").partition("/")
    stored = client_factory(cloud.aws_url)("s3").get_object(Bucket=bucket, Key=f"{folder}/{manifests.NAME}")
    return manifests.from_bytes(stored["Body"].read()).database.taken_at


def _vector(number: int) -> list[float]:
    return [1.0 if index == number % _SIZE else 0.0 for index in range(_SIZE)]


def _numbers_of_points(client: ApiClient, highest: int) -> set[int]:
    numbers = set[int]()
    for first in range(0, highest + 1, 100):
        numbers_filter = {"must": [{"key": "number", "range": {"gte": first, "lt": first + 100}}]}
        query = {
            "collection": _COLLECTION, "vector": _vector(first), "filter": numbers_filter, "limit": 100, "exact": True,
        }  # fmt: skip
        numbers |= {hit["payload"]["number"] for hit in client.post("/vectors/search", query)["results"]}
    return numbers


def _numbers_of_contacts(client: ApiClient) -> set[int]:
    """Return the numbers in the addresses, which can be read only if the tenant's keys were restored."""
    numbers, query = set[int](), {"limit": 100}
    while True:
        page = client.get("/contacts", **query)
        numbers |= {int(contact["email"].partition("@")[0].rpartition("-")[2]) for contact in page["items"]}
        if not page.get("next_cursor"):
            return numbers
        query["cursor"] = page["next_cursor"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.drill", description="Rehearse the loss of everything.")
    parser.add_argument("--home", type=Path, default=HOME, help="the folder of the drill's own stage")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    try:
        outcome = drill(options.home, lambda line: console.print(f"[dim]·[/] {line}"))
    except (
        DrillFailed,
        NotTemporary,
        NotBuilt,
        NotReady,
        PostgresFailed,
        DeploymentFailed,
        ApiError,
        TimeoutError,
    ) as error:
        console.print(f"[red]The drill failed:[/] {error}", markup=True)
        return 1
    console.print(
        f"Of {outcome.writes_before_backup} writes that were acknowledged before the backup's moment, "
        f"{outcome.lost_before_backup} are lost."
    )
    console.print(
        f"Recovery point: the loss came {outcome.seconds_since_backup:.1f} s after that moment, and "
        f"{outcome.lost_since_backup} of {outcome.writes_since_backup} writes since then are lost."
    )
    console.print(
        f"Recovery time: {outcome.recovery_seconds:.1f} s. The empty platform took {outcome.start_seconds:.1f} s, "
        f"the restore {outcome.restore_seconds:.1f} s."
    )
    return 1 if outcome.lost_before_backup else 0


if __name__ == "__main__":
    sys.exit(main())
