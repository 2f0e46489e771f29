"""A small supervisor that starts child processes, restarts them, and stops them in order or when the parent dies."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

LOG_TAIL_LINES = 15
# The emulator of AWS takes a few seconds to save its state, and much longer beside other work.
STOP_SECONDS = 60.0
# A process that dies more often than this within a minute is not restarted: that would only hide a fault.
RESTARTS_A_MINUTE = 5

OnExit = Callable[["Child", int], None]
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class NotReady(RuntimeError):
    """A process ended or did not become ready in time. The message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A process to run.

    `ready` is a line that the process prints once it is ready, or a function that returns whether it is. `timeout` is
    in seconds. `user` is the system user of the process; only root can set it.
    """

    name: str
    argv: Sequence[str]
    log: Path
    ready: str | Callable[[], bool] = "ready"
    timeout: float = 60.0
    environment: Mapping[str, str] | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    restart: bool = True


@dataclass(slots=True)
class Child:
    """A process under supervision."""

    spec: Spec
    process: subprocess.Popen[bytes]
    log_start: int
    restarts: list[float] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None


class Supervisor:
    """Starts children in the order given and stops them in reverse.

        with Supervisor(on_exit=lambda child, status: print(child.spec.name, "ended with", status)) as supervisor:
            supervisor.start(Spec("aws", [sys.executable, "-m", "local.aws", …], log))

    `on_exit` gets a child that ended by itself and its exit status, in the watching thread, before a restart.
    """

    def __init__(self, on_exit: OnExit | None = None) -> None:
        self._on_exit = on_exit
        self._children: list[Child] = []
        self._stopping = threading.Event()
        # The kernel signals a child when the *thread* that started it ends, so a single thread, which lives as long as
        # this object, starts all children.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starts-processes")
        self._watcher = threading.Thread(target=self._watch, name="watches-processes", daemon=True)
        self._watcher.start()

    def start(self, spec: Spec) -> Child:
        """Start a process and wait until it is ready.

        Raises:
            NotReady: the process ended or took longer than `spec.timeout`. It is stopped.
        """
        child = self._starter.submit(_spawn, spec).result()
        try:
            _wait_ready(child)
        except BaseException:
            _stop(child)
            raise
        self._children.append(child)
        return child

    def pid(self, name: str) -> int:
        """Return the process id of the child with this name. Raises KeyError if there is none."""
        for child in self._children:
            if child.spec.name == name:
                return child.process.pid
        raise KeyError(name)

    def stop(self) -> None:
        """Stop every child in reverse order: send its stop signal, and SIGKILL after a minute."""
        self._stopping.set()
        self._watcher.join()
        for child in reversed(self._children):
            _stop(child)
        self._children.clear()
        self._starter.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            for child in [child for child in self._children if not child.is_running]:
                if self._on_exit is not None:
                    self._on_exit(child, child.process.returncode)
                if child.spec.restart and self._may_restart(child):
                    restarted = self._starter.submit(_spawn, child.spec).result()
                    child.process, child.log_start = restarted.process, restarted.log_start
                else:
                    self._children.remove(child)

    def _may_restart(self, child: Child) -> bool:
        now = time.monotonic()
        child.restarts = [at for at in child.restarts if now - at < 60] + [now]
        return len(child.restarts) <= RESTARTS_A_MINUTE


def python_spec(module: str, log: Path, *options: str) -> Spec:
    """Return how to run a module as a process, which is named after the last part of the module's name."""
    return Spec(module.rpartition(".")[2], [sys.executable, "-m", module, *options], log, environment=dict(os.environ))


def log_tail(log: Path, start: int = 0) -> str:
    """Return the last lines of a log after byte `start`, indented."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:]) or "  (its log is empty)"


def _spawn(spec: Spec) -> Child:
    spec.log.parent.mkdir(parents=True, exist_ok=True)
    with spec.log.open("ab") as log:
        start = log.tell()
        process = subprocess.Popen(
            list(spec.argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=None if spec.environment is None else {**os.environ, **spec.environment},
            user=spec.user,
            group=_group_of(spec.user),
            extra_groups=None if spec.user is None else [],
            start_new_session=True,  # Ctrl-C reaches only the parent, which stops its children in order
            preexec_fn=lambda: _die_with_parent(spec.stop_signal),
        )
    return Child(spec, process, start)


def _die_with_parent(number: signal.Signals) -> None:
    """Make the kernel signal this child when its parent dies. Runs after the change of user, which clears it."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(number))


def _group_of(user: str | None) -> int | None:
    if user is None:
        return None
    import pwd  # not on Windows

    return pwd.getpwnam(user).pw_gid


def _wait_ready(child: Child) -> None:
    deadline = time.monotonic() + child.spec.timeout
    while not _is_ready(child):
        if not child.is_running:
            raise NotReady(_explain(child, f"ended with status {child.process.returncode} before it was ready"))
        if time.monotonic() > deadline:
            raise NotReady(_explain(child, f"was not ready after {child.spec.timeout:.0f} s"))
        time.sleep(0.02)


def _is_ready(child: Child) -> bool:
    if callable(child.spec.ready):
        return child.spec.ready()
    with child.spec.log.open("rb") as log:
        log.seek(child.log_start)
        return child.spec.ready.encode() in log.read().splitlines()


def _explain(child: Child, problem: str) -> str:
    tail = log_tail(child.spec.log, child.log_start)
    return f"{child.spec.name} {problem}. The end of its log:\n{tail}\nThe whole log: {child.spec.log}"


def _stop(child: Child) -> None:
    if child.is_running:
        child.process.send_signal(child.spec.stop_signal)
        try:
            child.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
