"""python -m local.backup [FOLDER] [--home DIR]: a backup of the local cloud that is up, now, and a copy of it.

The machine is the deployed one. The copy goes below FOLDER, whose name on the emulated AWS goes with the emulator.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from local.aws.deploy import session
from local.client import wait_until
from local.layout import ROOT, Layout
from local.restoring import NotRestorable
from local.restoring.files import Report, fetch

_SECONDS = 3_600


class BackupFailed(RuntimeError):
    """The machine ended otherwise than well; the table `backups` says why."""


def back_up(endpoints: dict[str, Any], into: Path, report: Report) -> Path:
    """Make a backup and copy it. Returns its folder.

    Raises:
        BackupFailed, TimeoutError.
    """
    client = session(endpoints["aws_endpoint"])
    states = client("stepfunctions")
    execution = states.start_execution(stateMachineArn=endpoints["backup_machine"])["executionArn"]
    ended = wait_until(
        lambda: states.describe_execution(executionArn=execution), lambda seen: seen["status"] != "RUNNING", _SECONDS
    )
    if ended["status"] != "SUCCEEDED":
        raise BackupFailed(f"{ended['status']}: {ended.get('cause', '')}")
    made = json.loads(ended["output"])
    report(f"backed up: {made['rows']} rows and {made['points']} points, in {made['location']}")
    folder = into / made["location"].rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    return fetch(client("s3"), made["location"], folder, report)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.backup", description="A backup of the local cloud.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("backups"), help="where the copy goes")
    parser.add_argument("--home", type=Path, default=ROOT / ".local", help="the local cloud's folder")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    layout = Layout(options.home)
    if not layout.endpoints.is_file():
        console.print("[red]No backup:[/] there is no local cloud yet. `make run` starts one.")
        return 1
    try:
        made = back_up(
            json.loads(layout.endpoints.read_text()),
            options.folder,
            lambda line: console.print(f"[dim]·[/] {line}"),
        )
    except (BackupFailed, TimeoutError, NotRestorable) as error:
        console.print(f"[red]No backup:[/] {error}")
        return 1
    console.print(f"[green]copied[/] to {made}; the key that it needs is {layout.key_file}, and is not in it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
