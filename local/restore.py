"""python -m local.restore BACKUP [--key KEY] [--home DIR]: a backup into an empty local cloud."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from email_sender.errors import DomainError
from local.layout import ROOT, Layout
from local.ports import NoFreePort
from local.postgres import PostgresFailed
from local.processes import NotReady
from local.restoring import NotRestorable
from local.restoring.restore import restore


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.restore", description="A backup into an empty local cloud.")
    parser.add_argument("backup", help="a folder with a manifest.json, or s3://<bucket>/<backup>")
    parser.add_argument("--key", help="what wraps the data keys: a file, or kms:<ARN>; else the local cloud's own key")
    parser.add_argument("--home", type=Path, default=ROOT / ".local", help="the local cloud's folder")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    try:
        manifest = restore(
            options.backup, Layout(options.home), options.key, lambda line: console.print(f"[dim]·[/] {line}")
        )
    except (NotRestorable, NotReady, PostgresFailed, NoFreePort, DomainError) as error:
        console.print(f"[red]Not restored:[/] {error}", markup=True)
        return 1
    console.print(
        f"[green]restored[/] the backup of {manifest.started_at:%Y-%m-%d %H:%M:%S} UTC; it is as its manifest"
    )
    console.print("says, row by row and point by point. `make run` goes on with it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
