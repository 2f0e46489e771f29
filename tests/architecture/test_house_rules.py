"""Project rules that no linter checks."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from local.aws.intrinsics import read_template
from local.layout import ROOT

TRACKED = [
    ROOT / line
    for line in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    if line and (ROOT / line).is_file()
]
PRODUCT = [
    path
    for path in TRACKED
    if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ("functions", "layers", "local", "scripts")
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in PRODUCT if path.stat().st_size], ids=name_of)
def test_a_module_is_short_and_documented_and_has_no_todo(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
    assert not re.search(r"except( Exception| BaseException)?( as \w+)?:\s*\n\s*pass\b", text)


def test_deployed_yaml_has_no_aliases() -> None:
    """CloudFormation does not support YAML aliases (its user guide, "Template formats"). State machines are JSON."""
    deployed = [ROOT / "template.yaml", *(ROOT / "stacks").glob("*.yaml")]
    definitions = [
        resource["Properties"]["DefinitionUri"]
        for resource in read_template(ROOT / "template.yaml")["Resources"].values()
        if resource["Type"] == "AWS::Serverless::StateMachine"
    ]
    assert len(definitions) > 3
    assert {Path(definition).suffix for definition in definitions} == {".json"}
    aliases = [
        f"{name_of(path)}: {event.anchor}"
        for path in deployed
        for event in yaml.parse(path.read_text())
        if isinstance(event, yaml.AliasEvent)
    ]
    assert aliases == []


def test_links_in_the_documentation_point_to_existing_files() -> None:
    broken = []
    for path in TRACKED:
        if path.suffix != ".md":
            continue
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
            if not link.startswith(("http:", "https:", "mailto:")) and not (path.parent / link).exists():
                broken.append(f"{name_of(path)}: {link}")
    assert broken == []


def test_decisions_are_numbered_and_dated() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        heading, day = path.read_text().splitlines()[:2]
        assert heading.startswith(f"# {path.name[:4]} ")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", day)
