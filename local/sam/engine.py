"""The container engine: the running one, or a temporary Docker daemon in its own network namespace."""

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
# Debian's folders for administrators' programs, which a user's PATH may lack.
ADMINISTRATORS = "/usr/local/sbin:/usr/sbin:/sbin"
# The Debian package of each required program.
PACKAGES = {"docker": "docker.io", "dockerd": "docker.io", "iptables": "iptables", "ip": "iproute2"}

type Report = Callable[[str], None]


class CommandFailed(RuntimeError):
    """A command of the engine failed. The message is its last line of output."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine. `own` is whether this run started it; such an engine cannot reach a registry."""

    version: str
    own: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, *arguments: str, timeout: float = ANSWER_SECONDS) -> str:
        """Run `docker <arguments>` and return its output.

        Raises:
            CommandFailed: the command failed, or took longer than `timeout` seconds.
        """
        try:
            completed = subprocess.run(
                ["docker", *arguments], env=self.environment, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"`docker {arguments[0]}` gave no answer for {timeout:.0f} s.") from error
        if completed.returncode:
            raise CommandFailed(
                last_line(completed.stderr) or f"`docker {arguments[0]}` ended with {completed.returncode}."
            )
        return completed.stdout.strip()


def last_line(text: str) -> str:
    """Return the last line of a text that is not blank, or an empty string."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


@contextmanager
def open_engine(home: Path, report: Report) -> Iterator[Engine]:
    """Yield a running engine. If this starts one, it is stopped and its files are removed at the end.

    Enter this before the process starts threads, because it may move the process into another network namespace.

    Raises:
        CannotRun: no engine is running and none can be started.
    """
    os.environ["PATH"] = f"{os.environ['PATH']}:{ADMINISTRATORS}"
    container_engine, reason = _find_engine()
    if container_engine is None:
        report(f"No container engine is running ({reason})")
        _require_own_engine_possible(reason)
        if _install_missing_packages(report):
            # With systemd, the package has started an engine.
            container_engine, _ = _find_engine()
            if container_engine is not None:
                report("The package started its engine. `systemctl disable --now docker.socket docker` stops it")
    if container_engine is not None:
        yield container_engine
        return
    with _own_engine(home, report) as container_engine:
        yield container_engine


def _find_engine() -> tuple[Engine | None, str]:
    """Return the running engine, or None and the reason."""
    if not shutil.which("docker"):
        return None, "`docker` is not installed"
    try:
        return _connect(dict(os.environ)), ""
    except CommandFailed as error:
        return None, str(error)


def _connect(environment: dict[str, str]) -> Engine:
    probe = Engine("?", environment=environment)
    return Engine(probe.run("version", "--format", "{{.Server.Version}}"), environment=environment)


def _require_own_engine_possible(reason: str) -> None:
    advice = (
        "Start Docker Desktop, or use `systemctl start docker`, or name a remote engine in DOCKER_HOST. Then run "
        "`make test-sam` again."
    )
    if sys.platform != "linux":
        raise CannotRun(f"No container engine is running ({reason}), and a temporary one needs Linux. {advice}")
    if os.geteuid() != 0:
        raise CannotRun(f"No container engine is running ({reason}), and only root can start one. {advice}")


def _install_missing_packages(report: Report) -> bool:
    packages = sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})
    if not packages:
        return False
    package_list = " ".join(packages)
    if not shutil.which("apt-get"):
        raise CannotRun(
            f"A temporary engine needs the Debian packages {package_list}, but this machine has no apt-get."
        )
    report(f"Installing the Debian packages {package_list} (remove them with `apt-get remove {package_list}`) …")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        completed = subprocess.run(["apt-get", "--quiet", *arguments], env=environment, capture_output=True, text=True)
        if completed.returncode:
            raise CannotRun(
                f"`apt-get {arguments[0]}` ended with {completed.returncode}: {last_line(completed.stderr)} "
                f"Install {package_list} manually and run `make test-sam` again."
            )
    return True


@contextmanager
def _own_engine(home: Path, report: Report) -> Iterator[Engine]:
    _isolate_network()
    data, log = (home / "engine").resolve(), (home / "logs/dockerd.log").resolve()
    # The path of a socket must be short, and `home` may be a deep folder.
    with TemporaryDirectory(prefix="test-sam-") as socket_folder:
        environment = {**os.environ, "DOCKER_HOST": f"unix://{socket_folder}/docker.sock"}
        environment.pop("DOCKER_CONTEXT", None)

        def is_ready() -> bool:
            try:
                _connect(environment)
            except CommandFailed:
                return False
            return True

        directories = [
            "--data-root",
            str(data),
            "--exec-root",
            f"{socket_folder}/exec",
            "--pidfile",
            f"{socket_folder}/docker.pid",
        ]
        argv = ["dockerd", *directories, "--host", environment["DOCKER_HOST"]]
        try:
            with Supervisor() as supervisor:
                try:
                    child = supervisor.start(Spec("dockerd", argv, log, ready=is_ready, timeout=90.0, restart=False))
                except NotReady as error:
                    raise CannotRun(f"The temporary engine could not be started. {error}") from error
                version = _connect(environment).version
                report(f"Started a temporary Docker {version} (process {child.process.pid}) in its own network")
                yield Engine(version, own=True, environment=environment)
            report("Stopped the temporary engine; its network is removed with this process")
        finally:
            shutil.rmtree(data, ignore_errors=True)
            if data.exists():
                report(f"{data} could not be removed completely. Remove it manually.")


def _isolate_network() -> None:
    """Move this process and its children into a network namespace that has only a loopback interface.

    The engine then does not change the machine's bridges and packet filters. No clean-up is needed, because the kernel
    removes the namespace with its last process.
    """
    try:
        os.unshare(os.CLONE_NEWNET)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotRun(
            f"No network namespace could be created for the engine ({error}): in a container, this needs "
            "privileges. Run `make test-sam` outside the container, or with a running container engine."
        ) from error
