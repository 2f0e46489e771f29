"""Tests for `make test-sam` without containers: the template, the output of `sam local`, and the outcome."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.aws.intrinsics import read_template
from local.layout import ROOT
from local.sam import stand_in
from local.sam.engine import CommandFailed, Engine
from local.sam.images import AWS_IMAGE, STAND_IN, Image, choose_image
from local.sam.results import Outcome, SampleResult
from local.sam.sam_local import InvocationFailed, SamLocal, parse_response
from local.sam.template import FunctionConfiguration, for_container, local_template
from local.samples import difference

ADDRESS, ENDPOINT = "172.17.0.1", "http://127.0.0.1:4566"
PROBLEM = {"statusCode": 503, "body": "{}"}


class FakeContainerEngine(Engine):
    """Return the configured response of each command, or raise it if it is an exception."""

    def __init__(self, *, own: bool = False, **responses: str | Exception) -> None:
        super().__init__("29.0", own=own, environment={"PATH": "/bin", "STAGE": "prod", "AWS_PROFILE": "mine"})
        object.__setattr__(self, "responses", responses)
        object.__setattr__(self, "commands", [])

    def run(self, *arguments: str, timeout: float = 0) -> str:
        self.commands.append(arguments)  # type: ignore[attr-defined]
        response = self.responses[arguments[0]]  # type: ignore[attr-defined]
        if isinstance(response, Exception):
            raise response
        return str(response)


def test_local_addresses_become_addresses_that_a_container_reaches() -> None:
    deployed = FunctionConfiguration(
        {"DATABASE_HOST": "127.0.0.1", "QUEUE": "http://127.0.0.1:4566/q", "STAGE": "local"}, ["a:1"]
    )
    configuration = for_container(deployed, ADDRESS, ENDPOINT, "key:1")
    assert configuration.variables == {
        "DATABASE_HOST": ADDRESS,
        "QUEUE": f"http://{ADDRESS}:4566/q",
        "STAGE": "local",
        "AWS_ENDPOINT_URL": f"http://{ADDRESS}:4566",
    }
    assert configuration.layers == ["a:1"]


def test_functions_that_use_the_local_key_get_it_as_a_layer() -> None:
    configuration = for_container(
        FunctionConfiguration({"KEY_WRAPPER": "file:/home/me/.local/keys/wrapping.key"}, ["a:1"]),
        ADDRESS,
        ENDPOINT,
        "key:1",
    )
    assert configuration.variables["KEY_WRAPPER"] == "file:/opt/wrapping.key"
    assert configuration.layers == ["a:1", "key:1"]
    managed = for_container(FunctionConfiguration({"KEY_WRAPPER": "kms:1234"}, []), ADDRESS, ENDPOINT, "key:1")
    assert (managed.variables["KEY_WRAPPER"], managed.layers) == ("kms:1234", [])


def test_the_local_template_changes_only_environment_layers_and_code_paths(tmp_path: Path) -> None:
    template = read_template(ROOT / "template.yaml")
    result = local_template(template, lambda name: FunctionConfiguration({"WHO": name}, [f"{name}:1"]), tmp_path)
    kinds = {resource["Type"] for resource in result["Resources"].values()}
    assert "AWS::Serverless::LayerVersion" not in kinds
    assert not {"Environment", "Layers"} & set(result["Globals"]["Function"])
    for name, resource in result["Resources"].items():
        original = template["Resources"][name]
        if resource["Type"] != "AWS::Serverless::Function":
            assert resource == original
            continue
        properties = resource["Properties"]
        assert properties["Environment"] == {"Variables": {"WHO": name}}
        assert properties["Layers"] == [f"{name}:1"]
        assert properties["CodeUri"] == str(tmp_path / original["Properties"]["CodeUri"])
        for property_name in ("Handler", "Timeout", "MemorySize", "Events"):
            assert properties.get(property_name) == original["Properties"].get(property_name)
    json.dumps(result)


def test_the_response_is_the_last_line_that_sam_printed(tmp_path: Path) -> None:
    assert parse_response('a line of the function\n{"statusCode": 200}\n', 0, tmp_path / "log") == {"statusCode": 200}
    assert parse_response("null\n", 0, tmp_path / "log") is None


@pytest.mark.parametrize("output", ["", "\n", "Error: no such function\n"])
def test_a_missing_response_is_reported_with_the_end_of_the_log(tmp_path: Path, output: str) -> None:
    (tmp_path / "log").write_text("Building image...\nError: the engine is gone\n")
    with pytest.raises(InvocationFailed, match="the engine is gone"):
        parse_response(output, 1, tmp_path / "log")


def test_layer_images_are_built_once_per_run(tmp_path: Path) -> None:
    template = tmp_path / "template.json"
    layers = {"One": ["a:1"], "Two": ["a:1"], "Three": ["a:1", "b:1"]}
    template.write_text(
        json.dumps(
            {"Resources": {name: {"Properties": {"Layers": layer_names}} for name, layer_names in layers.items()}}
        )
    )
    sam = SamLocal(FakeContainerEngine(), Image(AWS_IMAGE), template, ENDPOINT, tmp_path)
    assert [bool(sam._build_options(name)) for name in layers] == [True, False, True]


def test_sam_gets_no_variable_that_would_override_one_of_a_function(tmp_path: Path) -> None:
    environment = SamLocal(FakeContainerEngine(), Image(AWS_IMAGE), tmp_path / "t", ENDPOINT, tmp_path)._environment()
    assert environment["PATH"] == "/bin"
    assert not {"STAGE", "AWS_PROFILE", "AWS_ENDPOINT_URL"} & set(environment)


def test_the_aws_image_is_used_if_it_is_present_or_can_be_pulled(tmp_path: Path) -> None:
    assert choose_image(FakeContainerEngine(image="{}"), tmp_path, print) == Image(AWS_IMAGE)
    pulls = FakeContainerEngine(image=CommandFailed("no such image"), pull="done")
    assert choose_image(pulls, tmp_path, print) == Image(AWS_IMAGE)


@pytest.mark.parametrize("own", [True, False])
def test_otherwise_a_stand_in_is_used_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    monkeypatch.setattr(stand_in, "build", lambda folder, load: load(folder / "image.tar"))
    missing_image = CommandFailed("no such image")
    engine = FakeContainerEngine(
        own=own, image=missing_image, pull=CommandFailed("dial tcp: lookup failed"), **{"import": "sha256:1"}
    )
    image = choose_image(engine, tmp_path, print)
    assert image.name == STAND_IN
    assert image.label == f"a stand-in for {AWS_IMAGE}"
    assert ("no network access" if own else "dial tcp: lookup failed") in str(image.why)
    assert engine.commands[-1][-1] == STAND_IN  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "body", "failed", "expected_difference"),
    [
        ("gateway/handler.health", {"statusCode": 200}, False, None),
        ("gateway/handler.health", PROBLEM, False, "Status 503 instead of 200"),
        ("gateway/handler.health", {"errorType": "KeyError"}, True, "failed with KeyError"),
        ("gateway/handler.health", None, False, "Status None instead of 200"),
        ("vectors/tasks", {"errorType": "not_found"}, True, None),
        ("vectors/tasks", {"errorType": "Runtime.ImportModuleError"}, True, "Runtime.ImportModuleError instead of"),
        ("vectors/tasks", {"ok": 1}, False, "no error instead of"),
        ("vectors/sweep", {"started": 0, "more": 1}, False, None),
        ("vectors/sweep", {"started": 2}, False, "The response lacks {'started': 0}"),
        ("vectors/sweep", None, False, "The response lacks"),
    ],
)
def test_a_response_is_compared_with_its_sample(
    name: str, body: Any, failed: bool, expected_difference: str | None
) -> None:
    actual_difference = difference(name, body, failed=failed)
    assert actual_difference is None if expected_difference is None else expected_difference in str(actual_difference)


def test_a_run_passes_only_if_samples_were_tried_and_all_succeeded(tmp_path: Path) -> None:
    passed_sample, failed_sample = (
        SampleResult("gateway/heartbeat", 6.0),
        SampleResult("vectors/tasks", 7.0, "status 503"),
    )
    image = Image(STAND_IN, "no registry")
    assert not Outcome(image, "29.0").passed
    assert Outcome(image, "29.0", [passed_sample]).passed
    partial_outcome = Outcome(image, "29.0", [passed_sample], {"start-api": "samples were named"})
    assert partial_outcome.passed
    assert "not run    start-api: samples were named" in partial_outcome.lines()
    failed_outcome = Outcome(image, "29.0", [passed_sample, failed_sample])
    assert not failed_outcome.passed
    text = "\n".join(failed_outcome.lines())
    for part in ("a stand-in", "1 of 2", "AWS's own image: no registry", "vectors/tasks: status 503"):
        assert part in text
    failed_outcome.write(tmp_path / "outcome.json")
    assert json.loads((tmp_path / "outcome.json").read_text())["passed"] is False
