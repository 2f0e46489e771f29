"""Benchmark the functions: package size, cold import and warm call."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from email_sender.coordination.manager_gate import ManagerGate
from email_sender.tracing import SAMPLE_VARIABLE as TRACING_VARIABLE
from local.aws.intrinsics import read_template
from local.aws.runtime_packages import link_runtime_packages
from local.layout import BUILD, ROOT

_RUNS = 5
_CALLS = 400

_BARE = """
from fastapi import FastAPI
from mangum import Mangum
app = FastAPI(openapi_url=None)
@app.get("/api/v1/version")
async def version() -> dict[str, str]:
    return {"version": "1"}
handler = Mangum(app, lifespan="off")
"""


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        runtime = link_runtime_packages(Path(folder) / "runtime")
        (Path(folder) / "bare").mkdir()
        (Path(folder) / "bare/bare.py").write_text(_BARE)
        subprocess.run([sys.executable, "-m", "compileall", "-q", f"{folder}/bare"], check=True)
        common = [str(BUILD / "CommonLayer/python"), str(runtime)]
        bare = _import_ms("bare", [f"{folder}/bare", *common])
        return [*_sizes(), *_imports(common, bare), *_warm(Path(folder) / "bare")]


def _sizes() -> list[dict[str, Any]]:
    vectors = _megabytes("VectorsLayer") + _megabytes("VectorsFunction")
    bulk = _megabytes("BulkLayer") + _megabytes("VectorsImportChunkFunction")
    return [
        _size("common layer, unzipped", _megabytes("CommonLayer"), 40),
        _size("vectors: its layer and its function, unzipped", vectors, 120),
        _size("bulk imports: their layer and a function, unzipped", bulk, 120),
    ]


def _size(label: str, value: float, limit: float) -> dict[str, Any]:
    return _row(label, value, "MB", "", None, at_most=limit, runs=1)


def _imports(common: list[str], bare: float) -> list[dict[str, Any]]:
    rows = []
    for name, resource in read_template(ROOT / "template.yaml")["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        module = resource["Properties"]["Handler"].rpartition(".")[0]
        layer = "BulkLayer" if name.startswith("Bulk") else "VectorsLayer"
        path = [str(BUILD / name), str(BUILD / layer / "python"), *common]
        import_ms = _import_ms(module, path)
        limit = 1.0 if module.endswith("http.handler") else 1.3
        rows.append(_row(f"import {module}", import_ms, "ms", "bare FastAPI + Mangum", bare, at_most=limit))
    return rows


def _import_ms(module: str, path: list[str]) -> float:
    """Return the median time in milliseconds to import `module`, each time in a new interpreter."""
    probe = (
        f"import sys, time; sys.path[:0] = {path!r}; started = time.perf_counter()\n"
        f"import {module}\nprint(time.perf_counter() - started)"
    )

    def import_once() -> float:
        completed = subprocess.run(
            [sys.executable, "-I", "-S", "-c", probe], capture_output=True, text=True, check=True
        )
        return float(completed.stdout.split()[-1]) * 1000

    import_once()
    return statistics.median(import_once() for _ in range(_RUNS))


def _warm(bare: Path) -> list[dict[str, Any]]:
    sys.path.insert(0, str(bare))
    os.environ.setdefault("STAGE", "local")
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
    import importlib

    # The real gate queries the database every two seconds for stopped managers. This benchmark has no database.
    gate = ManagerGate(tuple)
    vars(importlib.import_module("workflows_lambda.bootstrap"))["gate"] = lambda: gate
    our_handler = importlib.import_module("workflows_lambda.http.handler").handler
    bare_handler = importlib.import_module("bare").handler
    event = _event("/api/v1/workflows/actions")
    our_ms, bare_ms = _call_ms(our_handler, event), _call_ms(bare_handler, _event("/api/v1/version"))
    difference_ms = our_ms - bare_ms
    return [
        _row("warm, an authenticated route, in process", our_ms, "ms", "bare FastAPI + Mangum route", bare_ms),
        _row("… more than the bare one", difference_ms, "ms", "", None, at_most=0.4),
        *_tracing(our_handler, event),
    ]


def _tracing(handler: Callable[..., Any], event: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare the same route with tracing on and off, in turns, because the machine's speed changes."""
    times: dict[str, list[float]] = {"": [], "5": [], "100": []}
    for _ in range(_RUNS):
        for percent, measured in times.items():
            os.environ[TRACING_VARIABLE] = percent
            measured.append(_call_ms(handler, event))
    del os.environ[TRACING_VARIABLE]
    off, sampled, always = (statistics.median(measured) for measured in times.values())
    return [
        _row("warm, tracing on, 5 % sampled", sampled, "ms", "tracing off", off, at_most=1.03),
        _row("warm, tracing on, every request", always, "ms", "tracing off", off),
    ]


def _call_ms(handler: Callable[..., Any], event: dict[str, Any]) -> float:
    class Context:
        function_name = "f"
        memory_limit_in_mb = 1024
        invoked_function_arn = "arn"
        aws_request_id = "r"

    with open(os.devnull, "w") as devnull:  # noqa: PTH123
        original_stdout, sys.stdout = sys.stdout, devnull
        try:
            times = []
            for _ in range(_CALLS):
                started = time.perf_counter()
                response = handler(event, Context())
                times.append(time.perf_counter() - started)
        finally:
            sys.stdout = original_stdout
    if response["statusCode"] != 200:
        raise RuntimeError(response["body"])
    return statistics.median(times[50:]) * 1000


def _event(path: str) -> dict[str, Any]:
    claims = {
        "sub": "s", "token_use": "access", "exp": "4102444800", "role": "admin",
        "tenant_id": "01930000-0000-7000-8000-00000000000a",
    }  # fmt: skip
    http = {"method": "GET", "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1", "userAgent": "b"}
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "requestContext": {
            "http": http,
            "requestId": "r",
            "stage": "$default",
            "authorizer": {"jwt": {"claims": claims}},
        },
        "isBase64Encoded": False,
    }


def _megabytes(folder: str) -> float:
    return sum(path.stat().st_size for path in (BUILD / folder).rglob("*") if path.is_file()) / 1e6


def _row(
    label: str,
    value: float,
    unit: str,
    compared_with: str,
    compared_value: float | None,
    runs: int = _RUNS,
    **limits: float,
) -> dict[str, Any]:
    return {
        "measure": label,
        "value": value,
        "unit": unit,
        "compared_with": compared_with,
        "compared_value": compared_value,
        "runs": runs,
        **limits,
    }
