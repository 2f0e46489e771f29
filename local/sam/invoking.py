"""`sam local invoke` and `sam local start-api`, as a user would run them."""

import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from local.ports import HOST, is_free
from local.processes import Spec, Supervisor, log_tail
from local.sam.engine import Engine
from local.sam.images import AWS_IMAGE, Image

INVOKE_SECONDS = 300.0
# `sam local` needs this long to stop a function's container.
STOP_SECONDS = 30.0

_KEPT = re.compile(r"PATH|HOME|LANG|TMPDIR|XDG_RUNTIME_DIR|DOCKER_\w+")


class InvocationFailed(RuntimeError):
    """`sam local` gave no answer of a function; the message has the end of what it said."""


@dataclass(frozen=True, slots=True)
class SamLocal:
    """`sam local` on one template, engine and image. `aws` is where it gets layers; what it says goes to `logs`."""

    engine: Engine
    image: Image
    template: Path
    aws: str
    logs: Path
    _layers_built: set[frozenset[str]] = field(default_factory=set)
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def invoke(self, function: str, event: Path, name: str) -> Any:
        """What the function answered: its result, or the report of its error.

        Raises:
            InvocationFailed: there is no answer.
        """
        log = self.logs / f"{name.replace('/', '-')}.log"
        argv = ["sam", "local", "invoke", function, "--event", str(event), *self._options(), *self._building(function)]
        with log.open("wb") as said:
            process = subprocess.Popen(
                argv,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,  # Ctrl-C comes by `stop`: whoever made a container is to remove it
            )
        self._running.add(process)
        try:
            output, _ = process.communicate(timeout=INVOKE_SECONDS)
        except subprocess.TimeoutExpired:
            _stop(process)
            raise InvocationFailed(f"no answer after {INVOKE_SECONDS:.0f} s; {_end_of(log)}") from None
        finally:
            self._running.discard(process)
        return answer(output.decode(errors="replace"), process.returncode, log)

    def stop(self) -> None:
        """End what other threads are invoking."""
        for process in list(self._running):
            _stop(process)

    def request(self, path: str, port: int) -> httpx.Response:
        """GET `path` of a `sam local start-api` that is up for this request.

        Raises:
            NotReady: it did not begin to listen.
            httpx.HTTPError: it did not answer.
        """
        argv = ["sam", "local", "start-api", "--host", HOST, "--port", str(port), *self._options()]
        spec = Spec(
            "start-api",
            argv,
            self.logs / "start-api.log",
            ready=lambda: not is_free(port),
            environment=self._environment(),
            stop_signal=signal.SIGINT,
            restart=False,
        )
        with Supervisor() as supervisor:
            supervisor.start(spec)
            return httpx.get(f"http://{HOST}:{port}{path}", timeout=INVOKE_SECONDS)

    def _building(self, function: str) -> list[str]:
        """SAM keeps the images that it makes of layers, by the layers' ARNs; those of an earlier run have the same."""
        resources = json.loads(self.template.read_text())["Resources"]
        layers = frozenset(resources[function]["Properties"]["Layers"])
        if layers in self._layers_built:
            return []
        self._layers_built.add(layers)
        return ["--force-image-build"]

    def _options(self) -> list[str]:
        options = [
            "--template",
            str(self.template),
            "--layer-cache-basedir",
            str(self.template.parent),
            "--skip-pull-image",
        ]
        return options if self.image.name == AWS_IMAGE else [*options, "--invoke-image", self.image.name]

    def _environment(self) -> dict[str, str]:
        # No more than this: SAM gives a function the variable of its own environment before that of the template.
        kept = {name: value for name, value in self.engine.environment.items() if _KEPT.fullmatch(name)}
        return {
            **kept,
            # Passed on to the function, whose account is the key's twelve digits in the local cloud.
            "AWS_ACCESS_KEY_ID": "0" * 12,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_LAMBDA": self.aws,  # where SAM itself gets layers
            "SAM_CLI_TELEMETRY": "0",
        }


def answer(output: str, status: int, log: Path) -> Any:
    """A function's answer out of what `sam local invoke` printed: the last line is it.

    Raises:
        InvocationFailed: there is none.
    """
    lines = [line for line in output.splitlines() if line.strip()]
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        shown = f"printed {lines[-1]!r}" if lines else "printed nothing"
        raise InvocationFailed(f"`sam local invoke` {shown} and ended with {status}; {_end_of(log)}") from None


def _end_of(log: Path) -> str:
    return f"the end of {log}:\n{log_tail(log)}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
