"""Back up the running local cloud, and copy the backup: python -m local.backup_command [FOLDER] [--home DIR]

The deployed state machine makes the backup in a bucket of the AWS emulator. The copy is needed because the bucket is
lost together with the emulator.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from email_sender.backups.model import NotRestorable
from local.aws.deploy import client_factory
from local.backups.backup_folder import ERASURES, Report, fetch, fetch_erasures
from local.client import wait_until
from local.layout import ROOT, Layout

_SECONDS = 3_600


class BackupFailed(RuntimeError):
    """The state machine did not succeed. The table `backups` has the reason."""


def back_up(endpoints: dict[str, Any], into: Path, report: Report) -> Path:
    """Make a backup and copy it below `into`. Return the folder of the copy.

    Raises:
        BackupFailed: the state machine did not succeed.
        TimeoutError: the state machine did not end within an hour.
        NotRestorable: the backup could not be fetched from its bucket.
    """
    client = client_factory(endpoints["aws_endpoint"])
    step_functions = client("stepfunctions")
    execution = step_functions.start_execution(stateMachineArn=endpoints["backup_machine"])["executionArn"]
    final_state = wait_until(
        lambda: step_functions.describe_execution(executionArn=execution),
        lambda state: state["status"] != "RUNNING",
        _SECONDS,
    )
    if final_state["status"] != "SUCCEEDED":
        raise BackupFailed(f"{final_state['status']}: {final_state.get('cause', '')}")
    result = json.loads(final_state["output"])
    report(f"Backed up {result['rows']} rows and {result['points']} points to {result['location']}")
    folder = into / result["location"].rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    fetch_erasures(client("s3"), result["location"], into / ERASURES)
    return fetch(client("s3"), result["location"], folder, report)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m local.backup_command", description="Back up the running local cloud."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("backups"), help="folder for the copy")
    parser.add_argument("--home", type=Path, default=ROOT / ".local", help="the local cloud's folder")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    layout = Layout(options.home)
    if not layout.endpoints.is_file():
        console.print("[red]No backup was made:[/] There is no local cloud yet. Start it with `make run`.")
        return 1
    try:
        folder = back_up(
            json.loads(layout.endpoints.read_text()),
            options.folder,
            lambda line: console.print(f"[dim]·[/] {line}"),
        )
    except (BackupFailed, TimeoutError, NotRestorable) as error:
        console.print(f"[red]No backup was made:[/] {error}")
        return 1
    console.print(
        f"[green]Copied[/] to {folder}. A restore also needs the keys in {layout.key_file.parent}; keep them apart."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
