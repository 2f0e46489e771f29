"""Run `sam local invoke` and `sam local start-api` as a user would."""

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
# The time that `sam local` may need to stop a function's container.
STOP_SECONDS = 30.0

_INHERITED = re.compile(r"PATH|HOME|LANG|TMPDIR|XDG_RUNTIME_DIR|DOCKER_\w+")


class InvocationFailed(RuntimeError):
    """`sam local` returned no response of the function. The message has the end of its log."""


@dataclass(frozen=True, slots=True)
class SamLocal:
    """`sam local` with one template, engine and image. `aws` is the endpoint for layers, `logs` the folder for logs."""

    engine: Engine
    image: Image
    template: Path
    aws: str
    logs: Path
    _layers_built: set[frozenset[str]] = field(default_factory=set)
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def invoke(self, function: str, event: Path, name: str) -> Any:
        """Invoke a function with an event. Return its result, or the report of its error.

        Raises:
            InvocationFailed: there is no response.
        """
        log = self.logs / f"{name.replace('/', '-')}.log"
        argv = [
            "sam",
            "local",
            "invoke",
            function,
            "--event",
            str(event),
            *self._options(),
            *self._build_options(function),
        ]
        with log.open("wb") as log_file:
            process = subprocess.Popen(
                argv,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,  # Ctrl-C arrives through `stop`, so that SAM removes its container
            )
        self._running.add(process)
        try:
            output, _ = process.communicate(timeout=INVOKE_SECONDS)
        except subprocess.TimeoutExpired:
            _stop(process)
            raise InvocationFailed(f"No response after {INVOKE_SECONDS:.0f} s; {_end_of(log)}") from None
        finally:
            self._running.discard(process)
        return parse_response(output.decode(errors="replace"), process.returncode, log)

    def stop(self) -> None:
        """Stop the invocations of other threads."""
        for process in list(self._running):
            _stop(process)

    def request(self, path: str, port: int) -> httpx.Response:
        """Start `sam local start-api`, send it GET `path`, and stop it.

        Raises:
            NotReady: it did not start to listen.
            httpx.HTTPError: it did not respond.
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

    def _build_options(self, function: str) -> list[str]:
        """Force SAM to build an image once for each set of layers. An earlier run's images have the same layer ARNs."""
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
        # Only these: a variable of SAM's environment would override the template's variable in the function.
        inherited = {name: value for name, value in self.engine.environment.items() if _INHERITED.fullmatch(name)}
        return {
            **inherited,
            # SAM passes these to the function. In the local cloud, the twelve digits are the account.
            "AWS_ACCESS_KEY_ID": "0" * 12,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_LAMBDA": self.aws,  # where SAM downloads layers
            "SAM_CLI_TELEMETRY": "0",
        }


def parse_response(output: str, status: int, log: Path) -> Any:
    """Return a function's response, which is the last line that `sam local invoke` printed.

    Raises:
        InvocationFailed: the last line is not JSON.
    """
    lines = [line for line in output.splitlines() if line.strip()]
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        printed = f"printed {lines[-1]!r}" if lines else "printed nothing"
        raise InvocationFailed(f"`sam local invoke` {printed} and ended with {status}; {_end_of(log)}") from None


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
