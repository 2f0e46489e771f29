"""python -m local [--once] [--verbose]: run the platform on this machine, then a demo of its main job."""

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

from email_sender.security.permissions import Role
from local.aws.deploy import DeploymentFailed
from local.client import ApiError
from local.cloud import LocalCloud, NotBuilt
from local.demo import Demo, DemoFailed
from local.layout import ROOT, Layout
from local.ports import NoFreePort
from local.postgres import PostgresFailed
from local.processes import NotReady

# Errors whose message explains what to do. Any other error is a bug and shows its stack trace.
_EXPECTED_ERRORS = (
    NotBuilt, NoFreePort, NotReady, PostgresFailed, DeploymentFailed, DemoFailed, ApiError, TimeoutError,
    httpx.HTTPError,
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description="Email Sender on this machine.")
    parser.add_argument("--once", action="store_true", help="run the demo, then stop")
    parser.add_argument("--again", action="store_true", help="run the demo again, with the same people")
    parser.add_argument("--verbose", action="store_true", help="list the differences from AWS")
    options = parser.parse_args()

    console = Console(soft_wrap=True, highlight=False)
    stop = threading.Event()

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, request_stop)
    started = time.perf_counter()
    layout = Layout(ROOT / ".local")
    cloud = LocalCloud(layout, lambda line: console.print(f"[dim]·[/] {line}"), verbose=options.verbose)
    try:
        with cloud:
            cloud.start()
            console.print(f"[green]The platform is ready[/] after {time.perf_counter() - started:.1f} s.")
            if _run_demo(layout, console, again=options.again):
                console.print(f"[green]The demo is complete[/] after {time.perf_counter() - started:.1f} s.")
            if not options.once:
                _keep_running(cloud, layout, console, stop)
    except KeyboardInterrupt:
        console.print("\nStopped. Your data is kept in .local; run `make run` to continue with it.")
        return 0 if stop.is_set() or not options.once else 130
    except _EXPECTED_ERRORS as error:
        console.print(f"\n[red]The local cloud failed:[/] {type(error).__name__}: {error}", markup=True)
        console.print(f"See the logs in {layout.logs}, then run `make run` again. Your data is kept in .local.")
        return 1
    return 0


def _run_demo(layout: Layout, console: Console, *, again: bool) -> bool:
    """Run the demo unless an earlier start did. Returns whether it ran."""
    demo = Demo(json.loads(layout.endpoints.read_text()), console)
    try:
        if demo.was_run() and not again:
            console.print("The demo ran before, so its people get no second mail. `make run DEMO=again` repeats it.")
            return False
        demo.run()
        return True
    finally:
        demo.close()


def _keep_running(cloud: LocalCloud, layout: Layout, console: Console, stop: threading.Event) -> None:
    admin = next(user for user in cloud.users if user.role == Role.ADMIN)
    console.print()
    console.rule("[bold]The platform keeps running. Try it:", align="left")
    for label, location in (
        ("Console", f"{cloud.api_url}/console (sign in as {admin.username} with {admin.password})"),
        ("API", f"{cloud.api_url}/api/v1"),
        ("API documentation", f"{cloud.api_url}/api/v1/docs"),
        ("Dashboards and alarms", f"{cloud.aws_url}/dashboards"),
        ("Traces", f"{cloud.aws_url}/traces"),
        ("Sent mail", f"{cloud.mail_url}/messages"),
        ("Users, passwords, ports", _relative(layout.endpoints)),
        ("Logs", _relative(layout.logs)),
    ):
        console.print(f"{label:28} {location}")
    console.print("The steps above with curl: docs/guides/first-run.md. Press Ctrl-C to stop.")
    stop.wait()


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
