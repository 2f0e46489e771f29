"""What `make test-sam` makes of a template, of `sam local`'s output and of a run, without a container."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.aws.intrinsics import read_template
from local.layout import ROOT
from local.sam import stand_in
from local.sam.engine import CommandFailed, Engine
from local.sam.images import AWS_IMAGE, STAND_IN, Image, choose
from local.sam.invoking import InvocationFailed, SamLocal, answer
from local.sam.outcome import Outcome, Tried
from local.sam.template import Deployed, in_a_container, local_template
from local.samples import difference

ADDRESS, ENDPOINT = "172.17.0.1", "http://127.0.0.1:4566"
PROBLEM = {"statusCode": 503, "body": "{}"}


class FakeEngine(Engine):
    """Gives the answers it was made with, by command; an exception is raised."""

    def __init__(self, *, own: bool = False, **answers: str | Exception) -> None:
        super().__init__("29.0", own=own, environment={"PATH": "/bin", "STAGE": "prod", "AWS_PROFILE": "mine"})
        object.__setattr__(self, "answers", answers)
        object.__setattr__(self, "asked", [])

    def run(self, *arguments: str, timeout: float = 0) -> str:
        self.asked.append(arguments)  # type: ignore[attr-defined]
        given = self.answers[arguments[0]]  # type: ignore[attr-defined]
        if isinstance(given, Exception):
            raise given
        return str(given)


def test_addresses_of_this_machine_become_those_that_a_container_reaches() -> None:
    deployed = Deployed({"DATABASE_HOST": "127.0.0.1", "QUEUE": "http://127.0.0.1:4566/q", "STAGE": "local"}, ["a:1"])
    seen = in_a_container(deployed, ADDRESS, ENDPOINT, "key:1")
    assert seen.variables == {
        "DATABASE_HOST": ADDRESS,
        "QUEUE": f"http://{ADDRESS}:4566/q",
        "STAGE": "local",
        "AWS_ENDPOINT_URL": f"http://{ADDRESS}:4566",
    }
    assert seen.layers == ["a:1"]


def test_the_key_of_the_local_cloud_comes_as_a_layer_to_those_who_use_it() -> None:
    seen = in_a_container(
        Deployed({"KEY_WRAPPER": "file:/home/me/.local/keys/wrapping.key"}, ["a:1"]), ADDRESS, ENDPOINT, "key:1"
    )
    assert seen.variables["KEY_WRAPPER"] == "file:/opt/wrapping.key"
    assert seen.layers == ["a:1", "key:1"]
    managed = in_a_container(Deployed({"KEY_WRAPPER": "kms:1234"}, []), ADDRESS, ENDPOINT, "key:1")
    assert (managed.variables["KEY_WRAPPER"], managed.layers) == ("kms:1234", [])


def test_of_the_real_template_functions_keep_all_but_what_they_were_given(tmp_path: Path) -> None:
    template = read_template(ROOT / "template.yaml")
    made = local_template(template, lambda name: Deployed({"WHO": name}, [f"{name}:1"]), tmp_path)
    kinds = {resource["Type"] for resource in made["Resources"].values()}
    assert "AWS::Serverless::LayerVersion" not in kinds
    assert not {"Environment", "Layers"} & set(made["Globals"]["Function"])
    for name, resource in made["Resources"].items():
        original = template["Resources"][name]
        if resource["Type"] != "AWS::Serverless::Function":
            assert resource == original
            continue
        properties = resource["Properties"]
        assert properties["Environment"] == {"Variables": {"WHO": name}}
        assert properties["Layers"] == [f"{name}:1"]
        assert properties["CodeUri"] == str(tmp_path / original["Properties"]["CodeUri"])
        for kept in ("Handler", "Timeout", "MemorySize", "Events"):
            assert properties.get(kept) == original["Properties"].get(kept)
    json.dumps(made)


def test_an_answer_is_the_last_line_that_sam_printed(tmp_path: Path) -> None:
    assert answer('a line of the function\n{"statusCode": 200}\n', 0, tmp_path / "log") == {"statusCode": 200}
    assert answer("null\n", 0, tmp_path / "log") is None


@pytest.mark.parametrize("output", ["", "\n", "Error: no such function\n"])
def test_no_answer_is_told_with_the_end_of_the_log(tmp_path: Path, output: str) -> None:
    (tmp_path / "log").write_text("Building image...\nError: the engine is gone\n")
    with pytest.raises(InvocationFailed, match="the engine is gone"):
        answer(output, 1, tmp_path / "log")


def test_images_of_layers_are_built_once_a_run_and_anew_in_each(tmp_path: Path) -> None:
    template = tmp_path / "template.json"
    layers = {"One": ["a:1"], "Two": ["a:1"], "Three": ["a:1", "b:1"]}
    template.write_text(
        json.dumps({"Resources": {name: {"Properties": {"Layers": each}} for name, each in layers.items()}})
    )
    sam = SamLocal(FakeEngine(), Image(AWS_IMAGE), template, ENDPOINT, tmp_path)
    assert [bool(sam._building(name)) for name in layers] == [True, False, True]


def test_sam_gets_no_variable_that_would_go_before_a_functions_own(tmp_path: Path) -> None:
    environment = SamLocal(FakeEngine(), Image(AWS_IMAGE), tmp_path / "t", ENDPOINT, tmp_path)._environment()
    assert environment["PATH"] == "/bin"
    assert not {"STAGE", "AWS_PROFILE", "AWS_ENDPOINT_URL"} & set(environment)


def test_awss_image_is_taken_where_it_is_or_can_be_pulled(tmp_path: Path) -> None:
    assert choose(FakeEngine(image="{}"), tmp_path, print) == Image(AWS_IMAGE)
    pulls = FakeEngine(image=CommandFailed("no such image"), pull="done")
    assert choose(pulls, tmp_path, print) == Image(AWS_IMAGE)


@pytest.mark.parametrize("own", [True, False])
def test_else_the_stand_in_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    monkeypatch.setattr(stand_in, "build", lambda folder, load: load(folder / "image.tar"))
    none = CommandFailed("no such image")
    engine = FakeEngine(own=own, image=none, pull=CommandFailed("dial tcp: lookup failed"), **{"import": "sha256:1"})
    found = choose(engine, tmp_path, print)
    assert found.name == STAND_IN
    assert found.shown == f"a stand-in for {AWS_IMAGE}"
    assert ("way out" if own else "dial tcp: lookup failed") in str(found.why)
    assert engine.asked[-1][-1] == STAND_IN  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "body", "failed", "said"),
    [
        ("gateway/handler.health", {"statusCode": 200}, False, None),
        ("gateway/handler.health", PROBLEM, False, "status 503 in place of 200"),
        ("gateway/handler.health", {"errorType": "KeyError"}, True, "the error KeyError"),
        ("gateway/handler.health", None, False, "status None in place of 200"),
        ("vectors/tasks", {"errorType": "not_found"}, True, None),
        ("vectors/tasks", {"errorType": "Runtime.ImportModuleError"}, True, "Runtime.ImportModuleError in place of"),
        ("vectors/tasks", {"ok": 1}, False, "no error in place of"),
        ("vectors/sweep", {"started": 0, "more": 1}, False, None),
        ("vectors/sweep", {"started": 2}, False, "it lacks {'started': 0}"),
        ("vectors/sweep", None, False, "it lacks"),
    ],
)
def test_an_answer_is_judged_by_what_its_sample_has_to_give(
    name: str, body: Any, failed: bool, said: str | None
) -> None:
    found = difference(name, body, failed=failed)
    assert found is None if said is None else said in str(found)


def test_a_run_passes_where_something_was_tried_and_all_of_it_as_expected(tmp_path: Path) -> None:
    fine, bad = Tried("gateway/heartbeat", 6.0), Tried("vectors/tasks", 7.0, "status 503")
    image = Image(STAND_IN, "no registry")
    assert not Outcome(image, "29.0").passed
    assert Outcome(image, "29.0", [fine]).passed
    some = Outcome(image, "29.0", [fine], {"start-api": "samples were named"})
    assert some.passed
    assert "not run    start-api: samples were named" in some.lines()
    failed = Outcome(image, "29.0", [fine, bad])
    assert not failed.passed
    text = "\n".join(failed.lines())
    for part in ("a stand-in", "1 of 2", "AWS's own image: no registry", "vectors/tasks: status 503"):
        assert part in text
    failed.write(tmp_path / "outcome.json")
    assert json.loads((tmp_path / "outcome.json").read_text())["passed"] is False
