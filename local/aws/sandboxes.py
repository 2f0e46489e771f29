"""Lambda's execution environments for MiniStack, in place of its own workers.

MiniStack 1.5.33 runs a function in a process that sees the server's packages, unpacks every layer anew, looks at layers
before the function's code, waits 50 ms for log lines after each call, and replaces the error type by
"Runtime.HandlerError" (so that Retry and Catch by name never match) while killing the process. A `Sandbox` does these
things as Lambda does. It stands on names that MiniStack does not promise: `install` checks that their source is what
was read when this was written.
"""

import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.aws import embedded_metrics
from local.aws.archives import ArchiveCache
from local.aws.pipes import Pipes
from local.aws.upstream import check_sources

WORKER = Path(__file__).with_name("worker.py")

# Lambda gives an import 10 s and then starts over under the function's timeout. Two shared cores on which everything
# starts at once may need more.
INIT_SECONDS = 60.0

_RELIES_ON = {
    "Worker.__init__": (lambda_runtime.Worker.__init__, "9f537cd431cf"),
    "Worker.invoke": (lambda_runtime.Worker.invoke, "96751a754710"),
    "Worker._spawn": (lambda_runtime.Worker._spawn, "c55febf95656"),
    "Worker._discard_tmpdir": (lambda_runtime.Worker._discard_tmpdir, "33f19717d0f3"),
    "lambda_runtime.kill_workers": (lambda_runtime.kill_workers, "56a6df63f9bd"),
    "lambda_runtime.ensure_spawned": (lambda_runtime.ensure_spawned, "3ec033855435"),
    "lambda_runtime.acquire_worker": (lambda_runtime.acquire_worker, "5017d144adb5"),
    "lambda_runtime.reap_idle_workers": (lambda_runtime.reap_idle_workers, "d0e5aa7c2b59"),
    "lambda_runtime._worker_class_for": (lambda_runtime._worker_class_for, "b5a23849280a"),
    "lambda_svc._execute_function_warm": (lambda_svc._execute_function_warm, "62b9218bef5b"),
    "lambda_svc._resolve_layer_zip": (lambda_svc._resolve_layer_zip, "447d3c3ec42c"),
}


@dataclass(frozen=True, slots=True)
class FunctionError:
    """A failed invocation on its way through MiniStack's worker pool, which would keep nothing but its text."""

    report: dict[str, Any]


class SandboxInitError(RuntimeError):
    """The handler could not be imported; `report` says so in Lambda's words."""

    def __init__(self, report: dict[str, Any], log: str) -> None:
        super().__init__(f"{report['errorType']}: {report['errorMessage']}")
        self.report = report
        self.log = log


@dataclass(frozen=True, slots=True)
class Runtime:
    """What every sandbox of this server shares.

    `packages` is a directory with what Lambda's Python runtime brings (boto3); `endpoint` is MiniStack's own URL.
    """

    archives: ArchiveCache
    packages: Path
    endpoint: str


class Sandbox(lambda_runtime.Worker):  # type: ignore[misc]
    """One process that runs one version of one function, one invocation at a time."""

    runtime: Runtime
    _proc: subprocess.Popen[bytes] | None = None
    _pipes: Pipes | None = None
    _init_log = ""

    def _spawn(self) -> None:
        """MiniStack's name for it, called where a version is published with SnapStart."""
        self._start()

    def _start(self) -> Pipes:
        """Start the process and import the handler.

        Raises:
            SandboxInitError: the import failed, took too long, or ended the process.
        """
        code = self.runtime.archives.unpack(self.code_zip)
        layers = [self.runtime.archives.unpack(archive) for archive in self._layer_archives()]
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WORKER), str(writing)],
                cwd=code,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment(code),
                pass_fds=(writing,),
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._proc = process
        self._pipes = pipes = Pipes(process, reading)
        start = {
            "handler": self.config["Handler"],
            "path": [str(code), *(str(path) for layer in layers for path in _layer_path(layer))],
            "runtime_path": [str(self.runtime.packages)],
        }
        answer, log = pipes.exchange(start, INIT_SECONDS)
        if "error" in answer:
            self._stop()
            raise SandboxInitError(answer["error"], log)
        self._init_log = log
        self._start_time = time.time()
        return pipes

    def invoke(
        self,
        event: Any,
        request_id: str,
        *,
        trace_id: str | None = None,
        depth: int | None = None,  # noqa: ARG002 - the concurrency ceiling ends a recursion
        durable: dict[str, str] | None = None,  # noqa: ARG002 - no durable functions here
        invoked_function_arn: str | None = None,
    ) -> dict[str, Any]:
        """Run one invocation; the answer has the keys that MiniStack's pool reads, with errors as a FunctionError."""
        with self._lock:
            process, pipes = self._proc, self._pipes  # another thread may stop the process at any time
            cold = process is None or pipes is None or process.poll() is not None
            if cold or pipes is None:
                self._stop()
                try:
                    pipes = self._start()
                except SandboxInitError as error:
                    return {"status": "ok", "result": FunctionError(error.report), "cold_start": True, "log": error.log}
            timeout = float(self.config.get("Timeout", 3))
            context = {
                "request_id": request_id,
                "invoked_function_arn": invoked_function_arn or self.config["FunctionArn"],
                "trace_id": trace_id,
                "deadline": time.time() + timeout,
            }
            answer, log = pipes.exchange({"event": event, "context": context}, timeout, request_id)
            if pipes.broken:
                self._stop()
            result = FunctionError(answer["error"]) if "error" in answer else answer["result"]
            init_log, self._init_log = self._init_log, ""
            return {"status": "ok", "result": result, "cold_start": cold, "log": init_log + log}

    def _stop(self) -> None:
        process, self._proc = self._proc, None
        if process is not None:
            process.kill()
            process.wait()
        if self._pipes is not None:
            self._pipes.close()
            self._pipes = None

    def _discard_tmpdir(self) -> None:
        """Called by MiniStack's `kill_workers` for each one that it stopped: there are pipes to close, no directory."""
        # Whoever waits for an answer holds the lock, sees the process end, and closes the pipes: a descriptor that is
        # closed while another thread reads it may by then be somebody else's.
        if self._lock.acquire(blocking=False):
            try:
                self._stop()
            finally:
                self._lock.release()

    def _layer_archives(self) -> list[bytes]:
        archives = [lambda_svc._resolve_layer_zip(layer) for layer in self.config.get("Layers", [])]
        return [archive for archive in archives if archive]

    def _environment(self, code: Path) -> dict[str, str]:
        """What Lambda sets, then what the function's configuration sets; nothing of this server's own environment."""
        config = self.config
        _, region = lambda_runtime._account_region_from_function_config(config)
        name = config["FunctionName"]
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
        lambdas = {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONUTF8": "1",
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - where Lambda has it
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": self.runtime.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', 'python3.13')}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": config.get("Version", "$LATEST"),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": group,
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[{config.get('Version')}]{uuid.uuid4().hex}",
            "LAMBDA_TASK_ROOT": str(code),
            "_HANDLER": config["Handler"],
        }
        variables = (config.get("Environment") or {}).get("Variables") or {}
        own = {key: str(value) for key, value in variables.items() if key not in lambdas or key == "AWS_ENDPOINT_URL"}
        credentials: dict[str, str] = lambda_runtime.execution_credentials(config)
        return lambdas | credentials | own


def install(runtime: Runtime) -> None:
    """Make MiniStack run Python functions in sandboxes.

    Raises:
        UpstreamChanged: MiniStack's own workers are not those that this was written for.
    """
    check_sources(_RELIES_ON)
    embedded_metrics.check()
    Sandbox.runtime = runtime
    runs = lambda_svc._execute_function_warm

    def execute(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        outcome: dict[str, Any] = runs(func, event, request_id)
        embedded_metrics.collect(outcome.get("log") or "")
        if isinstance(outcome.get("body"), FunctionError):
            return {"body": outcome["body"].report, "error": True, "log": outcome.get("log", "")}
        return outcome

    lambda_svc._execute_function_warm = execute
    lambda_runtime._worker_class_for = lambda _: Sandbox


def _layer_path(layer: Path) -> list[Path]:
    """What Lambda puts on `sys.path` for one layer."""
    python = layer / "python"
    site = sorted((python / "lib").glob("python3.*/site-packages"))
    return [*site, python]
