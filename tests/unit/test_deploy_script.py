"""What `make deploy` gives `sam deploy`: every value, as it was meant."""

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
from scripts.deploy import Refused, checked, configured, pairs, written

KNOWN = read_template(ROOT / "template.yaml")["Parameters"]


def read_by_sam(path: Path) -> dict[str, str]:
    return dict(CfnParameterOverridesType().convert(f"file://{path}", None, None))


@given(st.dictionaries(st.text("abcXYZ09", min_size=1), st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
@example({"a": '{"x": "say \\"hi\\" to C:\\\\ "}'})
@example({"a": "'", "b": '"', "c": '"quoted"', "d": "\\", "e": '\\\\"', "f": "\\ \\'", "g": ""})
@example({"a": "on", "b": "012", "c": "1e3", "d": "null", "e": "{}", "f": "a\nb", "g": "file://x", "h": "2026-11-22"})
def test_sam_reads_each_value_as_it_was_meant(values: dict[str, str]) -> None:
    path = ROOT / ".local" / f"parameters-{os.getpid()}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(written(values))
    try:
        assert read_by_sam(path) == values
    finally:
        path.unlink()


def given_by(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return deploy.given(f" {path}\n")


def test_a_file_says_texts_lists_and_json(tmp_path: Path) -> None:
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
    assert given_by(tmp_path, text) == {
        "VectorCache": "on", "DatabasePort": "05432", "EventAccounts": "012345670123,123456789012", "SubnetIds": "",
        "MailFrom": 'a "b" <c@d.example>', "Empty": "", "Version": "1.10",
        "TextModel": '{"provider": "openai", "size": 768, "on": true}', "Listed": '[{"a": 1}]',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "name and its value"), ("", "name and its value"), ("A: 1\nA: 2\n", "stands twice .*line 2"),
        ("A: [\n", "is not YAML"), ("just text", "name and its value"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        given_by(tmp_path, text)


def test_pairs_are_as_a_shell_has_them() -> None:
    assert pairs('A=1 B=\'{"x": "y z"}\' C= D=a=b') == {"A": "1", "B": '{"x": "y z"}', "C": "", "D": "a=b"}
    assert pairs("") == {}
    with pytest.raises(Refused, match="neither a YAML file nor a pair"):
        pairs("prod.yml.bak")
    with pytest.raises(Refused, match="needs no quoting"):
        pairs("A='open")
    with pytest.raises(Refused, match="cannot be read: No such file"):
        deploy.given("missing.yaml")


def test_an_environment_has_its_own_values_and_another_is_refused() -> None:
    text = (ROOT / "samconfig.toml").read_text()
    assert configured(text, "prod")["QdrantShards"] == "6"
    assert configured(text, "dev") == {"Stage": "dev"}
    with pytest.raises(Refused, match="There are: dev, staging, prod"):
        configured(text, "production")
    for name in ("dev", "staging", "prod"):
        assert checked(configured(text, name), KNOWN)
        assert tomllib.loads(text)["default" if name == "dev" else name]["global"]["parameters"]["stack_name"]


def test_a_name_that_is_none_is_refused_and_the_right_one_named() -> None:
    with pytest.raises(Refused, match=r"no parameter DatbaseHost\. Is it DatabaseHost\?"):
        checked({"DatbaseHost": "x"}, KNOWN)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built template, and a `sam` that only writes what it was asked for."""
    monkeypatch.setattr(deploy, "TEMPLATE", tmp_path / "template.yaml")
    monkeypatch.setattr(deploy, "VALUES", tmp_path / "parameters.yaml")
    (tmp_path / "template.yaml").write_text((ROOT / "template.yaml").read_text())
    sam = tmp_path / "sam"
    sam.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit 7\n')
    sam.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_a_deployment_gives_all_of_it_and_ends_as_sam_does(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (built / "mine.yaml").write_text("QdrantReplicas: 5\nTextModel: {provider: bedrock, model: m}\n")
    monkeypatch.setenv("PARAMETERS", str(built / "mine.yaml"))
    monkeypatch.setattr(sys, "argv", ["deploy.py", "prod"])
    assert deploy.main() == 7
    assert (built / "asked").read_text().split() == [
        "deploy", "--config-env", "prod", "--template-file", str(built / "template.yaml"), "--parameter-overrides",
        f"file://{built}/parameters.yaml",
    ]  # fmt: skip
    values = read_by_sam(built / "parameters.yaml")
    assert values.keys() == {
        "Stage", "QdrantShards", "QdrantReplicas", "LogRetentionDays", "TextModel", "AppVersion", "Commit", "BuiltAt",
    }  # fmt: skip
    assert (values["Stage"], values["QdrantShards"], values["QdrantReplicas"]) == ("prod", "6", "5")
    assert json.loads(values["TextModel"]) == {"provider": "bedrock", "model": "m"}
    word = read_template(built / "template.yaml")["Globals"]["Function"]["Environment"]["Variables"]["CONFIGURATION"]
    assert word.startswith("p-")
    # Built at another time, it is the same deployment; with another value it is not.
    deploy.main()
    assert word in (built / "template.yaml").read_text()
    (built / "mine.yaml").write_text("QdrantReplicas: 4\n")
    deploy.main()
    assert word not in (built / "template.yaml").read_text()


def test_what_cannot_be_deployed_is_said_and_sam_not_asked(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARAMETERS", "Databasehost=x")
    monkeypatch.setattr(sys, "argv", ["deploy.py", "dev"])
    assert deploy.main() == 2
    assert "Is it DatabaseHost?" in capsys.readouterr().err
    assert not (built / "asked").exists()


def test_make_hands_the_values_on_as_they_are(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s|%s" "$PARAMETERS" "$*"\n')
    python.chmod(0o755)
    value = """TextModel='{"provider": "bedrock"}' A="b c" `whoami`"""
    environment = {name: each for name, each in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "-s", "-o", ".venv/.ready", "-o", ".aws-sam/.built", "deploy", "ENV=prod", f"PY={python}",
         f"PARAMETERS={value}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{value}|scripts/deploy.py prod"


def test_the_guides_file_is_one(tmp_path: Path) -> None:
    blocks = (ROOT / "docs/guides/deploying.md").read_text().split("```yaml\n")[1:]
    for block in blocks:
        lines = block.split("```")[0]
        # Two ways of one parameter stand in one block.
        for text in lines.splitlines() if lines.count("TextModel") == 2 else [lines]:
            assert checked(given_by(tmp_path, text), KNOWN), text
    assert yaml.safe_load(blocks[0].split("```")[0])["SubnetIds"] == ["subnet-a", "subnet-b"]
