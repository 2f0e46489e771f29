"""Tests that `make deploy` passes every parameter value to `sam deploy` unchanged."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from samcli.cli.types import CfnParameterOverridesType

from local.aws.intrinsics import read_template
from local.layout import ROOT
from scripts import deploy
from scripts.deploy import DeploymentRefused, check_names, parameters_yaml, parse_pairs, read_samconfig

TEMPLATE_PARAMETERS = read_template(ROOT / "template.yaml")["Parameters"]


def read_by_sam(path: Path) -> dict[str, str]:
    return dict(CfnParameterOverridesType().convert(f"file://{path}", None, None))


@given(st.dictionaries(st.text("abcXYZ09", min_size=1), st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
@example({"a": '{"x": "say \\"hi\\" to C:\\\\ "}'})
@example({"a": "'", "b": '"', "c": '"quoted"', "d": "\\", "e": '\\\\"', "f": "\\ \\'", "g": ""})
@example({"a": "on", "b": "012", "c": "1e3", "d": "null", "e": "{}", "f": "a\nb", "g": "file://x", "h": "2026-11-22"})
def test_sam_reads_each_value_unchanged(values: dict[str, str]) -> None:
    path = ROOT / ".local" / f"parameters-{os.getpid()}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(parameters_yaml(values))
    try:
        assert read_by_sam(path) == values
    finally:
        path.unlink()


def read_parameter_file(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return deploy.read_parameters(f" {path}\n")


def test_a_parameter_file_holds_strings_lists_and_json(tmp_path: Path) -> None:
    text = """
    VectorCache: on
    DatabasePort: 05432
    EventAccounts: [012345670123, 123456789012]
    SubnetIds: []
    MailFrom: "a \\"b\\" <c@d.example>"
    Empty:
    Version: 1.10
    TextModel: {provider: openai, size: 768, on: true}
    Listed: [{a: 1}]
    """
    assert read_parameter_file(tmp_path, text) == {
        "VectorCache": "on", "DatabasePort": "05432", "EventAccounts": "012345670123,123456789012", "SubnetIds": "",
        "MailFrom": 'a "b" <c@d.example>', "Empty": "", "Version": "1.10",
        "TextModel": '{"provider": "openai", "size": 768, "on": true}', "Listed": '[{"a": 1}]',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "name and its value"), ("", "name and its value"), ("A: 1\nA: 2\n", "is duplicated .*line 2"),
        ("A: [\n", "is not valid YAML"), ("just text", "name and its value"),
    ],
)  # fmt: skip
def test_an_invalid_parameter_file_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DeploymentRefused, match=message):
        read_parameter_file(tmp_path, text)


def test_pairs_are_parsed_with_shell_quoting() -> None:
    assert parse_pairs('A=1 B=\'{"x": "y z"}\' C= D=a=b') == {"A": "1", "B": '{"x": "y z"}', "C": "", "D": "a=b"}
    assert parse_pairs("") == {}
    with pytest.raises(DeploymentRefused, match="neither a YAML file nor a pair"):
        parse_pairs("prod.yml.bak")
    with pytest.raises(DeploymentRefused, match="needs no quoting"):
        parse_pairs("A='open")
    with pytest.raises(DeploymentRefused, match="cannot be read: No such file"):
        deploy.read_parameters("missing.yaml")


def test_each_environment_has_its_own_values_and_an_unknown_one_is_rejected() -> None:
    text = (ROOT / "samconfig.toml").read_text()
    assert read_samconfig(text, "prod")["QdrantShards"] == "6"
    assert read_samconfig(text, "dev") == {"Stage": "dev"}
    with pytest.raises(DeploymentRefused, match="There are: dev, staging, prod"):
        read_samconfig(text, "production")
    for name in ("dev", "staging", "prod"):
        assert check_names(read_samconfig(text, name), TEMPLATE_PARAMETERS)
        assert tomllib.loads(text)["default" if name == "dev" else name]["global"]["parameters"]["stack_name"]


def test_an_unknown_parameter_is_rejected_with_a_suggestion() -> None:
    with pytest.raises(DeploymentRefused, match=r"no parameter DatbaseHost\. Is it DatabaseHost\?"):
        check_names({"DatbaseHost": "x"}, TEMPLATE_PARAMETERS)


@pytest.fixture
def build_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built template and a `sam` program that only records its arguments."""
    monkeypatch.setattr(deploy, "TEMPLATE", tmp_path / "template.yaml")
    monkeypatch.setattr(deploy, "VALUES", tmp_path / "parameters.yaml")
    (tmp_path / "template.yaml").write_text((ROOT / "template.yaml").read_text())
    sam = tmp_path / "sam"
    sam.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexit 7\n')
    sam.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_deploy_passes_all_values_to_sam_and_returns_its_exit_code(
    build_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (build_folder / "mine.yaml").write_text("QdrantReplicas: 5\nTextModel: {provider: bedrock, model: m}\n")
    monkeypatch.setenv("PARAMETERS", str(build_folder / "mine.yaml"))
    monkeypatch.setattr(sys, "argv", ["deploy.py", "prod"])
    assert deploy.main() == 7
    assert (build_folder / "arguments").read_text().split() == [
        "deploy",
        "--config-env",
        "prod",
        "--template-file",
        str(build_folder / "template.yaml"),
        "--parameter-overrides",
        f"file://{build_folder}/parameters.yaml",
    ]
    values = read_by_sam(build_folder / "parameters.yaml")
    assert values.keys() == {
        "Stage", "QdrantShards", "QdrantReplicas", "LogRetentionDays", "TextModel", "AppVersion", "Commit", "BuiltAt",
    }  # fmt: skip
    assert (values["Stage"], values["QdrantShards"], values["QdrantReplicas"]) == ("prod", "6", "5")
    assert json.loads(values["TextModel"]) == {"provider": "bedrock", "model": "m"}
    configuration_id = read_template(build_folder / "template.yaml")["Globals"]["Function"]["Environment"]["Variables"][
        "CONFIGURATION"
    ]
    assert configuration_id.startswith("p-")
    # A later build with the same values is the same deployment; a changed value makes another one.
    deploy.main()
    assert configuration_id in (build_folder / "template.yaml").read_text()
    (build_folder / "mine.yaml").write_text("QdrantReplicas: 4\n")
    deploy.main()
    assert configuration_id not in (build_folder / "template.yaml").read_text()


def test_an_invalid_parameter_is_reported_and_sam_is_not_called(
    build_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARAMETERS", "Databasehost=x")
    monkeypatch.setattr(sys, "argv", ["deploy.py", "dev"])
    assert deploy.main() == 2
    assert "Is it DatabaseHost?" in capsys.readouterr().err
    assert not (build_folder / "arguments").exists()


def test_make_passes_parameter_values_unchanged(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s|%s" "$PARAMETERS" "$*"\n')
    python.chmod(0o755)
    value = """TextModel='{"provider": "bedrock"}' A="b c" `whoami`"""
    environment = {name: setting for name, setting in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    result = subprocess.run(
        ["make", "-s", "-o", ".venv/.ready", "-o", ".aws-sam/.built", "deploy", "ENV=prod", f"PY={python}",
         f"PARAMETERS={value}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout == f"{value}|scripts/deploy.py prod"


def test_the_examples_in_the_deployment_guide_are_valid(tmp_path: Path) -> None:
    blocks = (ROOT / "docs/guides/deploying.md").read_text().split("```yaml\n")[1:]
    for block in blocks:
        lines = block.split("```")[0]
        # One block shows two alternatives for the same parameter.
        for text in lines.splitlines() if lines.count("TextModel") == 2 else [lines]:
            assert check_names(read_parameter_file(tmp_path, text), TEMPLATE_PARAMETERS), text
    assert yaml.safe_load(blocks[0].split("```")[0])["SubnetIds"] == ["subnet-a", "subnet-b"]
