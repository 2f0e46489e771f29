"""The container engine: the one that answers, or one of our own, in a network of its own, for as long as this takes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from local.processes import NotReady, Spec, Supervisor
from local.sam import CannotRun

ANSWER_SECONDS = 30.0
# Where Debian has what only an administrator runs; a user's PATH may lack it.
ADMINISTRATORS = "/usr/local/sbin:/usr/sbin:/sbin"
# What each program that is needed is part of, by Debian's names.
PACKAGES = {"docker": "docker.io", "dockerd": "docker.io", "iptables": "iptables", "ip": "iproute2"}

type Report = Callable[[str], None]


class CommandFailed(RuntimeError):
    """A command of the engine gave a status that is not 0; the message is the last that it said."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How to speak to a container engine. `own` is whether this run started it: such a one reaches no registry."""

    version: str
    own: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, *arguments: str, timeout: float = ANSWER_SECONDS) -> str:
        """What `docker <arguments>` printed.

        Raises:
            CommandFailed: with the last line of what it said.
        """
        try:
            done = subprocess.run(
                ["docker", *arguments], env=self.environment, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"`docker {arguments[0]}` gave no answer for {timeout:.0f} s") from error
        if done.returncode:
            raise CommandFailed(last_line(done.stderr) or f"`docker {arguments[0]}` ended with {done.returncode}")
        return done.stdout.strip()


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


@contextmanager
def engine(home: Path, report: Report) -> Iterator[Engine]:
    """An engine that answers; one that is started here is stopped, and its files removed, at the end.

    To be entered before the process has threads: one of our own puts the process into another network.

    Raises:
        CannotRun: none answers and none can be started.
    """
    os.environ["PATH"] = f"{os.environ['PATH']}:{ADMINISTRATORS}"
    found, why = _found()
    if found is None:
        report(f"no container engine answers ({why})")
        _refuse_unless_possible(why)
        if _install_what_is_missing(report):
            # Where there is no systemd, the package starts nothing.
            found, _ = _found()
            if found is not None:
                report("the package has started its engine; `systemctl disable --now docker.socket docker` stops it")
    if found is not None:
        yield found
        return
    with _own(home, report) as started:
        yield started


def _found() -> tuple[Engine | None, str]:
    """The engine that answers, or why none does."""
    if not shutil.which("docker"):
        return None, "there is no `docker` on this machine"
    try:
        return _answering(dict(os.environ)), ""
    except CommandFailed as error:
        return None, str(error)


def _answering(environment: dict[str, str]) -> Engine:
    asking = Engine("?", environment=environment)
    return Engine(asking.run("version", "--format", "{{.Server.Version}}"), environment=environment)


def _refuse_unless_possible(why: str) -> None:
    advice = (
        "Start a container engine and run `make test-sam` again: Docker Desktop, or `systemctl start docker`; an "
        "engine elsewhere is named by DOCKER_HOST."
    )
    if sys.platform != "linux":
        raise CannotRun(f"No container engine answers ({why}), and one of our own needs Linux. {advice}")
    if os.geteuid() != 0:
        raise CannotRun(f"No container engine answers ({why}), and only root can start one. {advice}")


def _install_what_is_missing(report: Report) -> bool:
    packages = sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})
    if not packages:
        return False
    wanted = " ".join(packages)
    if not shutil.which("apt-get"):
        raise CannotRun(f"An engine of our own needs {wanted} (Debian's names), and this machine has no apt-get.")
    report(f"installing {wanted} from Debian's packages; it stays installed, `apt-get remove {wanted}` undoes it …")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "--quiet", *arguments], env=quiet, capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(
                f"`apt-get {arguments[0]}` ended with {done.returncode}: {last_line(done.stderr)} "
                f"Install {wanted} by hand and run `make test-sam` again."
            )
    return True


@contextmanager
def _own(home: Path, report: Report) -> Iterator[Engine]:
    _leave_the_network()
    data, log = (home / "engine").resolve(), (home / "logs/dockerd.log").resolve()
    # Sockets have short names at most: not below `home`, which may lie deep.
    with TemporaryDirectory(prefix="test-sam-") as run:
        environment = {**os.environ, "DOCKER_HOST": f"unix://{run}/docker.sock"}
        environment.pop("DOCKER_CONTEXT", None)

        def answers() -> bool:
            try:
                _answering(environment)
            except CommandFailed:
                return False
            return True

        directories = ["--data-root", str(data), "--exec-root", f"{run}/exec", "--pidfile", f"{run}/docker.pid"]
        argv = ["dockerd", *directories, "--host", environment["DOCKER_HOST"]]
        try:
            with Supervisor() as supervisor:
                try:
                    child = supervisor.start(Spec("dockerd", argv, log, ready=answers, timeout=90.0, restart=False))
                except NotReady as error:
                    raise CannotRun(f"An engine of our own could not be started. {error}") from error
                version = _answering(environment).version
                report(f"Docker {version} of our own runs (process {child.process.pid}), in a network of its own")
                yield Engine(version, own=True, environment=environment)
            report("the engine is stopped; its network goes with this process")
        finally:
            shutil.rmtree(data, ignore_errors=True)
            if data.exists():
                report(f"{data} could not be removed whole: remove it by hand")


def _leave_the_network() -> None:
    """Put this process, and what it starts, into a network with nothing in it but a loopback.

    The engine then changes none of the machine's own bridges and packet filters, and there is nothing to be undone: the
    kernel removes the network with the last process in it.
    """
    try:
        os.unshare(os.CLONE_NEWNET)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotRun(
            f"A network of its own for an engine could not be made ({error}): in a container, this needs "
            "privileges. Run `make test-sam` outside of it, or beside an engine that runs."
        ) from error
