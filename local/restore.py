"""python -m local.restore BACKUP [--key KEY] [--home DIR]: restore a backup into an empty local cloud."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from email_sender.backups.model import NotRestorable
from email_sender.errors import DomainError
from local.backups.restore_workflow import restore
from local.layout import ROOT, Layout
from local.ports import NoFreePort
from local.postgres import PostgresFailed
from local.processes import NotReady


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.restore", description="Restore a backup of the local cloud.")
    parser.add_argument("backup", help="folder with a manifest.json, or s3://<bucket>/<backup>")
    parser.add_argument("--key", help="the backup's wrapping key: a file, or kms:<ARN> (default: the local key)")
    parser.add_argument("--tenant-keys", help="with kms:<ARN>: the DynamoDB table with the keys of the tenants")
    parser.add_argument("--home", type=Path, default=ROOT / ".local", help="the local cloud's folder")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    try:
        manifest = restore(
            options.backup,
            Layout(options.home),
            options.key,
            lambda line: console.print(f"[dim]·[/] {line}"),
            options.tenant_keys,
        )
    except (NotRestorable, NotReady, PostgresFailed, NoFreePort, DomainError) as error:
        console.print(f"[red]Not restored:[/] {error}", markup=True)
        return 1
    console.print(f"[green]Restored[/] the backup of {manifest.started_at:%Y-%m-%d %H:%M:%S} UTC.")
    console.print("Every row and point matches the manifest. Run `make run` to start with this data.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
