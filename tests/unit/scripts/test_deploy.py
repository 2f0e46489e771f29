"""Tests that `make deploy` passes every parameter value to `sam deploy` unchanged."""

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from samcli.cli.types import CfnParameterOverridesType

from local.aws.intrinsics import read_template
from local.layout import ROOT
from scripts import deploy, stacks
from scripts.deploy import check_names, parameters_yaml, parse_pairs, read_samconfig
from scripts.deployment_checks import DeploymentRefused

PARAMETERS = {
    name
    for path in [ROOT / "template.yaml", *(ROOT / "stacks").glob("*.yaml")]
    for name in read_template(path)["Parameters"]
}


def read_by_sam(path: Path) -> dict[str, str]:
    return dict(CfnParameterOverridesType().convert(f"file://{path}", None, None))


@settings(deadline=None)
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
        assert check_names(read_samconfig(text, name), PARAMETERS)
        assert tomllib.loads(text)["default" if name == "dev" else name]["global"]["parameters"]["stack_name"]


def test_an_unknown_parameter_is_rejected_with_a_suggestion() -> None:
    with pytest.raises(DeploymentRefused, match=r"no parameter DatbaseHost\. Is it DatabaseHost\?"):
        check_names({"DatbaseHost": "x"}, PARAMETERS)


OUTPUTS = {
    "email-sender-prod-network": {"VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"},
    "email-sender-prod-data": {"DatabaseHost": "db.internal", "QdrantHost": "qdrant.internal", "QdrantTls": "false"},
    "email-sender-prod": {"ApiUrl": "https://api.example.com"},
    "email-sender-prod-observability": {},
    "email-sender-prod-edge": {},
}


@dataclass(frozen=True)
class SamCall:
    stack: str
    region: str
    template: str
    values: dict[str, str]


class Machine:
    """A built template, a `sam` that records its arguments and values, and an `aws` that knows the stacks' outputs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.template = folder, folder / "template.yaml"
        self.template.write_text((ROOT / "template.yaml").read_text())
        find_name = 'name=$(echo "$*" | sed "s/.*--stack-name //; s/ .*//")\n'
        missing = '{ echo "Stack with id $name does not exist" >&2; exit 254; }\n'
        self.add_program("aws", f"{find_name}cat {folder}/$name.deployed 2>/dev/null || {missing}")
        self.sam_exits_with(0)
        for name, outputs in OUTPUTS.items():
            (folder / f"{name}.json").write_text(self._described("CREATE_COMPLETE", outputs))

    @staticmethod
    def _described(status: str, outputs: dict[str, str]) -> str:
        listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        return json.dumps({"status": status, "outputs": listed or None})

    def has_stack(self, name: str, status: str = "UPDATE_COMPLETE") -> None:
        (self.folder / f"{name}.deployed").write_text(self._described(status, OUTPUTS[name]))

    def sam_exits_with(self, status: int) -> None:
        folder = self.folder
        self.add_program(
            "sam",
            f"call={folder}/call$(ls {folder} | grep -c '^call')\n"
            'echo "$@" > $call\n'
            f"cp {folder}/parameters.yaml {folder}/values$(basename $call).yaml\n"
            'name=$(echo "$*" | sed "s/.*--stack-name //; s/ .*//")\n'
            f"cp {folder}/$name.json {folder}/$name.deployed\n"
            f"exit {status}\n",
        )

    def add_program(self, name: str, script: str) -> None:
        (self.folder / name).write_text("#!/bin/sh\n" + script)
        (self.folder / name).chmod(0o755)

    def deploy(self, environment: str = "prod") -> int:
        sys.argv = ["deploy.py", environment]
        return deploy.main()

    def calls(self) -> list[SamCall]:
        found = []
        for path in sorted(self.folder.glob("call*")):
            words = path.read_text().split()
            options = dict(pairwise(words))
            values = read_by_sam(self.folder / f"values{path.name}.yaml")
            found.append(
                SamCall(options["--stack-name"], options["--region"], Path(options["--template-file"]).name, values)
            )
        return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    replaced = tuple(
        replace(stack, template=machine.template) if stack.name == "platform" else stack for stack in stacks.STACKS
    )
    monkeypatch.setattr(stacks, "STACKS", replaced)
    monkeypatch.setattr(deploy, "VALUES", tmp_path / "parameters.yaml")
    monkeypatch.setattr(deploy, "_delete_old_versions", lambda *_: None)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("PARAMETERS", raising=False)
    return machine


def test_a_deployment_from_nothing_creates_every_stack_in_order(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAMETERS", "DomainName=mail.example.com")
    assert machine.deploy() == 0
    network, data, platform, observability, edge = machine.calls()
    assert [call.stack for call in machine.calls()] == list(OUTPUTS)
    assert network.values == {"Stage": "prod", "NatGateways": "each"}
    assert (data.values["VpcId"], data.values["SubnetIds"], data.values["Profile"]) == (
        "vpc-1",
        "subnet-1,subnet-2",
        "prod",
    )
    assert (platform.values["DatabaseHost"], platform.values["QdrantHost"]) == ("db.internal", "qdrant.internal")
    assert (platform.values["PublicUrl"], platform.values["SecurityGroupIds"]) == ("https://mail.example.com", "sg-1")
    assert (edge.values["ApiUrl"], edge.region) == ("https://api.example.com", "us-east-1")
    assert {call.region for call in (network, data, platform, observability)} == {"eu-west-1"}


def test_own_parts_replace_their_stacks_and_all_values_reach_sam(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine.folder / "mine.yaml").write_text(
        "QdrantReplicas: 5\nQdrantHealthUrl: https://q/healthz\nTextModel: {provider: bedrock, model: m}\n"
        "SubnetIds: [a, b]\nSecurityGroupIds: [c]\n"
        "DatabaseHost: own.example.com\nQdrantHost: cloud.example.com\nPublicUrl: https://mail.example.com\n"
    )
    monkeypatch.setenv("PARAMETERS", str(machine.folder / "mine.yaml"))
    machine.sam_exits_with(7)
    assert machine.deploy() == 7
    (call,) = machine.calls()
    assert (call.stack, call.template) == ("email-sender-prod", "template.yaml")
    assert call.values.keys() == {
        "Stage", "QdrantShards", "QdrantReplicas", "LogRetentionDays", "TextModel", "AppVersion", "Commit", "BuiltAt",
        "Rollout", "Snapshots", "SecondFactor", "OriginKeyHashes",
        "SubnetIds", "SecurityGroupIds", "DatabaseHost", "QdrantHost", "PublicUrl", "QdrantHealthUrl",
        "DatabaseOwnerHost", "DatabaseOwnerUser", "QdrantTls",
    }  # fmt: skip
    assert (call.values["QdrantShards"], call.values["QdrantReplicas"]) == ("6", "5")
    assert json.loads(call.values["TextModel"]) == {"provider": "bedrock", "model": "m"}


def configuration_of(machine: Machine) -> str:
    return machine.template.read_text().split("CONFIGURATION: ")[1].split("\n")[0]


def test_a_changed_value_is_another_configuration(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAMETERS", "PublicUrl=https://a.example QdrantReplicas=5")
    machine.deploy()
    first = configuration_of(machine)
    machine.deploy()
    assert configuration_of(machine) == first
    monkeypatch.setenv("PARAMETERS", "PublicUrl=https://a.example QdrantReplicas=4")
    machine.deploy()
    assert configuration_of(machine) != first


def test_a_stack_that_fails_ends_the_deployment(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAMETERS", "PublicUrl=https://a.example")
    machine.sam_exits_with(1)
    assert machine.deploy() == 1
    assert [call.stack for call in machine.calls()] == ["email-sender-prod-network"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("PublicUrl=https://a.example SubnetIds=a,b SecurityGroupIds=c", "VpcId is needed too"),
        ("PublicUrl=https://a.example SubnetIds=a,b", "belong together"),
        ("", "PublicUrl is needed"),
        ("PublicUrl=a.example", "does not match https?://"),
        ("PublicUrl=https://a.example DatabaseSsl=maybe", "must be one of verify-full, require, disable"),
        ("PublicUrl=https://a.example QdrantHost=q.example", "QdrantHealthUrl is needed"),
        ("PublicUrl=https://a.example Embedder=bundled", "EmbeddingsLayerArn is needed"),
        ("PublicUrl=https://a.example JwtIssuer=https://i.example", "JwksUrl is needed"),
        ("DomainName=https://mail.example.com/", "does not match"),
        ("Databasehost=x", "Is it DatabaseHost?"),
    ],
)
def test_values_that_a_later_stack_would_refuse_are_refused_first(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], parameters: str, message: str
) -> None:
    monkeypatch.setenv("PARAMETERS", parameters)
    assert machine.deploy() == 2
    assert message in capsys.readouterr().err
    assert machine.calls() == []


def test_an_update_needs_only_the_values_that_change(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OUTPUTS:
        machine.has_stack(name)
    monkeypatch.setenv("PARAMETERS", "LogRetentionDays=90")
    assert machine.deploy() == 0
    assert len(machine.calls()) == 4


def test_an_update_without_the_values_of_own_parts_creates_no_empty_ones(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.has_stack("email-sender-prod")
    monkeypatch.setenv("PARAMETERS", "LogRetentionDays=90")
    assert machine.deploy() == 2
    assert "Pass the whole file of values" in capsys.readouterr().err
    assert machine.calls() == []


def test_a_stack_whose_creation_failed_has_to_be_deleted_first(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.has_stack("email-sender-prod-network", "ROLLBACK_COMPLETE")
    monkeypatch.setenv("PARAMETERS", "PublicUrl=https://a.example")
    assert machine.deploy() == 2
    stack = "--stack-name email-sender-prod-network --region eu-west-1"
    error = capsys.readouterr().err
    assert f"delete-stack {stack}\n" in error
    assert f"wait stack-delete-complete {stack}\n" in error


def test_a_value_is_checked_in_an_update_too(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in OUTPUTS:
        machine.has_stack(name)
    monkeypatch.setenv("PARAMETERS", "PublicUrl=mail.example.com")
    assert machine.deploy() == 2
    assert "does not match https?://" in capsys.readouterr().err
    assert machine.calls() == []


def test_another_public_url_than_the_domain_is_pointed_out(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARAMETERS", "PublicUrl=https://a.example DomainName=mail.example.com")
    assert machine.deploy() == 0
    assert "Remove PublicUrl from your values" in capsys.readouterr().err


def test_own_parts_leave_nothing_of_the_stacks_before(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OUTPUTS:
        machine.has_stack(name)
    monkeypatch.setenv("PARAMETERS", "DatabaseHost=own QdrantHost=cloud QdrantHealthUrl=https://cloud/healthz")
    assert machine.deploy() == 0
    values = next(call.values for call in machine.calls() if call.stack == "email-sender-prod")
    assert (values["DatabaseOwnerHost"], values["DatabaseOwnerUser"], values["QdrantTls"]) == ("", "postgres", "true")


def test_a_missing_aws_cli_is_named(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine.folder / "aws").unlink()
    monkeypatch.setenv("PATH", str(machine.folder))
    monkeypatch.setattr(deploy, "_git", lambda *_: "unknown")
    monkeypatch.setenv("PARAMETERS", "PublicUrl=https://a.example")
    assert machine.deploy() == 2
    assert "The AWS CLI is not installed" in capsys.readouterr().err


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
            assert check_names(read_parameter_file(tmp_path, text), PARAMETERS), text
    assert yaml.safe_load(blocks[1].split("```")[0])["SubnetIds"] == ["subnet-a", "subnet-b"]


def test_cloudfront_gets_a_new_key_and_the_key_that_it_has_is_accepted_until_then(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAMETERS", "DomainName=mail.example.com")
    current = sha256(b"current").hexdigest()
    monkeypatch.setitem(OUTPUTS, "email-sender-prod-edge", {"OriginKeyHash": current})
    for stack in OUTPUTS:
        machine.has_stack(stack)
    assert machine.deploy() == 0
    values = {call.stack: call.values for call in machine.calls()}
    key = values["email-sender-prod-edge"]["OriginKey"]
    hashes = values["email-sender-prod"]["OriginKeyHashes"].split(",")
    assert hashes == [sha256(key.encode()).hexdigest(), current]
    assert values["email-sender-prod-edge"]["OriginKeyHash"] == hashes[0]
    assert "OriginKey" not in values["email-sender-prod"]


def test_a_cloudfront_without_a_key_gets_one_before_it_is_demanded(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAMETERS", "DomainName=mail.example.com")
    for stack in OUTPUTS:
        machine.has_stack(stack)
    assert machine.deploy() == 0
    values = {call.stack: call.values for call in machine.calls()}
    assert values["email-sender-prod-edge"]["OriginKey"]
    assert values["email-sender-prod"]["OriginKeyHashes"] == ""


def test_without_a_domain_no_key_is_demanded_any_more(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAMETERS", "PublicUrl=https://mail.example.com")
    assert machine.deploy() == 0
    values = {call.stack: call.values for call in machine.calls()}
    assert values["email-sender-prod"]["OriginKeyHashes"] == ""
