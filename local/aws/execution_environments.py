"""Lambda's execution environments for MiniStack, which replace its own workers.

A worker of MiniStack 1.5.33 sees the server's packages, unpacks every layer again, searches layers before
the function's code, waits 50 ms for log lines after each call, kills the process after an error, and replaces the
error type by "Runtime.HandlerError", so that Retry and Catch by name never match. An `ExecutionEnvironment` behaves as
on Lambda. It uses internal names of MiniStack, so `install` compares their source with known fingerprints.
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
from local.aws.monitoring import service_metrics
from local.aws.process_pipes import Pipes
from local.aws.upstream import check_sources

WORKER = Path(__file__).with_name("environment_process.py")

# Lambda limits an import to 10 s, then repeats it within the function's timeout. Here an import may take longer,
# because everything starts at once on few cores.
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
    "lambda_svc._emit_lambda_metrics": (lambda_svc._emit_lambda_metrics, "3b6689d77cf6"),
    "lambda_svc._resolve_layer_zip": (lambda_svc._resolve_layer_zip, "447d3c3ec42c"),
}


@dataclass(frozen=True, slots=True)
class FunctionError:
    """A failed invocation, passed through MiniStack's worker pool, which would keep only the error's text."""

    report: dict[str, Any]


class InitError(RuntimeError):
    """The handler could not be imported. `report` is the error as Lambda reports it."""

    def __init__(self, report: dict[str, Any], log: str) -> None:
        super().__init__(f"{report['errorType']}: {report['errorMessage']}")
        self.report = report
        self.log = log


@dataclass(frozen=True, slots=True)
class Runtime:
    """What all execution environments of this server share.

    `packages` is a directory with the packages of Lambda's Python runtime (boto3); `endpoint` is MiniStack's URL;
    `clock_file` holds by how many seconds the clock of mail and workflows is ahead.
    """

    archives: ArchiveCache
    packages: Path
    endpoint: str
    clock_file: Path


class ExecutionEnvironment(lambda_runtime.Worker):  # type: ignore[misc]
    """One process that runs one version of one function, one invocation at a time."""

    runtime: Runtime
    _proc: subprocess.Popen[bytes] | None = None
    _pipes: Pipes | None = None
    _init_log = ""

    def _spawn(self) -> None:
        """Start the process. MiniStack calls this when it publishes a version with SnapStart."""
        self._start()

    def _start(self) -> Pipes:
        """Start the process and import the handler.

        Raises:
            InitError: the import failed, took too long, or ended the process.
        """
        code = self.runtime.archives.unpack(self.code_zip)
        layers = [self.runtime.archives.unpack(archive) for archive in self._layer_archives()]
        read_fd, write_fd = os.pipe()
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WORKER), str(write_fd)],
                cwd=code,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment(code),
                pass_fds=(write_fd,),
            )
        except BaseException:
            os.close(read_fd)
            raise
        finally:
            os.close(write_fd)
        self._proc = process
        self._pipes = pipes = Pipes(process, read_fd)
        start_message = {
            "handler": self.config["Handler"],
            "path": [str(code), *(str(path) for layer in layers for path in _layer_path(layer))],
            "runtime_path": [str(self.runtime.packages)],
        }
        response, log = pipes.exchange(start_message, INIT_SECONDS)
        if "error" in response:
            self._stop()
            raise InitError(response["error"], log)
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
        """Run one invocation. Return the keys that MiniStack's pool reads; an error is a FunctionError in `result`."""
        with self._lock:
            process, pipes = self._proc, self._pipes  # another thread may stop the process at any time
            is_cold = process is None or pipes is None or process.poll() is not None
            if is_cold or pipes is None:
                self._stop()
                try:
                    pipes = self._start()
                except InitError as error:
                    return {"status": "ok", "result": FunctionError(error.report), "cold_start": True, "log": error.log}
            timeout = float(self.config.get("Timeout", 3))
            context = {
                "request_id": request_id,
                "invoked_function_arn": invoked_function_arn or self.config["FunctionArn"],
                "trace_id": trace_id,
                "deadline": time.time() + timeout,
            }
            response, log = pipes.exchange({"event": event, "context": context}, timeout, request_id)
            if pipes.is_broken:
                self._stop()
            result = FunctionError(response["error"]) if "error" in response else response["result"]
            init_log, self._init_log = self._init_log, ""
            return {"status": "ok", "result": result, "cold_start": is_cold, "log": init_log + log}

    def _stop(self) -> None:
        process, self._proc = self._proc, None
        if process is not None:
            process.kill()
            process.wait()
        if self._pipes is not None:
            self._pipes.close()
            self._pipes = None

    def _discard_tmpdir(self) -> None:
        """Close the pipes. MiniStack's `kill_workers` calls this for each worker that it stopped."""
        # A thread that waits for a response holds the lock, sees the process end, and closes the pipes itself. If they
        # were closed while it reads, another thread could already have reused the descriptor.
        if self._lock.acquire(blocking=False):
            try:
                self._stop()
            finally:
                self._lock.release()

    def _layer_archives(self) -> list[bytes]:
        archives = [lambda_svc._resolve_layer_zip(layer) for layer in self.config.get("Layers", [])]
        return [archive for archive in archives if archive]

    def _environment(self, code: Path) -> dict[str, str]:
        """Return the variables that Lambda sets and those of the function's configuration, none of this server's."""
        config = self.config
        _, region = lambda_runtime._account_region_from_function_config(config)
        name = config["FunctionName"]
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
        lambda_variables = {
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
            "LOCAL_CLOCK_FILE": str(self.runtime.clock_file),
        }
        if level := (config.get("LoggingConfig") or {}).get("ApplicationLogLevel"):
            lambda_variables["AWS_LAMBDA_LOG_LEVEL"] = level
        if log := os.environ.get("RECORDED_CALLS"):
            lambda_variables["RECORDED_CALLS"] = log
        variables = (config.get("Environment") or {}).get("Variables") or {}
        function_variables = {
            key: str(value)
            for key, value in variables.items()
            if key not in lambda_variables or key == "AWS_ENDPOINT_URL"
        }
        credentials: dict[str, str] = lambda_runtime.execution_credentials(config)
        return lambda_variables | credentials | function_variables


def install(runtime: Runtime) -> None:
    """Make MiniStack run Python functions in these execution environments.

    Raises:
        UpstreamChanged: MiniStack's workers differ from the version for which this module was written.
    """
    check_sources(_RELIES_ON)
    embedded_metrics.check()
    ExecutionEnvironment.runtime = runtime
    original_execute = lambda_svc._execute_function_warm

    def execute(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        started = time.perf_counter()
        outcome: dict[str, Any] = original_execute(func, event, request_id)
        embedded_metrics.collect(outcome.get("log") or "")
        failed = bool(outcome.get("error")) or isinstance(outcome.get("body"), FunctionError)
        service_metrics.record_invocation(_function_name(func), time.perf_counter() - started, failed=failed)
        if isinstance(outcome.get("body"), FunctionError):
            return {"body": outcome["body"].report, "error": True, "log": outcome.get("log", "")}
        return outcome

    lambda_svc._execute_function_warm = execute
    lambda_svc._emit_lambda_metrics = service_metrics.record_throttle
    lambda_runtime._worker_class_for = lambda _: ExecutionEnvironment


def _function_name(func: dict[str, Any]) -> str:
    return str((func.get("config") or func)["FunctionName"])


def _layer_path(layer: Path) -> list[Path]:
    """Return the directories that Lambda adds to `sys.path` for one layer."""
    python = layer / "python"
    site = sorted((python / "lib").glob("python3.*/site-packages"))
    return [*site, python]
