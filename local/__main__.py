"""python -m local [--once] [--verbose]: the platform on this machine, and its main job."""

import argparse
import json
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import httpx
from rich.console import Console

from local.aws.deploy import DeploymentFailed
from local.client import ApiError
from local.cloud import LocalCloud, NotBuilt
from local.demo import Demo, DemoFailed
from local.layout import ROOT, Layout
from local.ports import NoFreePort
from local.postgres import PostgresFailed
from local.processes import NotReady

# What goes wrong in ways that a sentence explains; anything else is a fault of ours, and shows its stack.
_EXPLAINED = (
    NotBuilt, NoFreePort, NotReady, PostgresFailed, DeploymentFailed, DemoFailed, ApiError, TimeoutError,
    httpx.HTTPError,
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description="Email Sender on this machine.")
    parser.add_argument("--once", action="store_true", help="do the main job and end")
    parser.add_argument("--verbose", action="store_true", help="list what is otherwise than on AWS")
    options = parser.parse_args()

    console = Console(soft_wrap=True, highlight=False)
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, ask_to_stop)
    started = time.perf_counter()
    layout = Layout(ROOT / ".local")
    cloud = LocalCloud(layout, lambda line: console.print(f"[dim]·[/] {line}"), verbose=options.verbose)
    try:
        with cloud:
            cloud.start()
            console.print(f"[green]ready[/] after {time.perf_counter() - started:.1f} s")
            _main_job(layout, console)
            console.print(f"[green]done[/] after {time.perf_counter() - started:.1f} s")
            if not options.once:
                _stay(cloud, layout, console, stop)
    except KeyboardInterrupt:
        console.print("\nstopped; your data stays in .local, and `make run` goes on with it")
        return 0 if stop.is_set() or not options.once else 130
    except _EXPLAINED as error:
        console.print(f"\n[red]It did not work:[/] {type(error).__name__}: {error}", markup=True)
        console.print(f"The logs are in {layout.logs}. `make run` tries again; your data stays in .local.")
        return 1
    return 0


def _main_job(layout: Layout, console: Console) -> None:
    demo = Demo(json.loads(layout.endpoints.read_text()), console)
    try:
        demo.run()
    finally:
        demo.close()


def _stay(cloud: LocalCloud, layout: Layout, console: Console, stop: threading.Event) -> None:
    console.print()
    console.rule("[bold]It is all yours", align="left")
    for what, where in (
        ("API", f"{cloud.api_url}/api/v1"),
        ("its docs", f"{cloud.api_url}/api/v1/docs"),
        ("mail that was sent", f"{cloud.mail_url}/messages"),
        ("users, passwords, addresses", _relative(layout.endpoints)),
        ("logs", _relative(layout.logs)),
    ):
        console.print(f"{what:28} {where}")
    console.print("Ctrl-C stops it.")
    stop.wait()


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
