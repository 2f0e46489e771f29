"""Every claim in docs/security.md and docs/compliance names a proof that exists: a claim without a proof fails."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from local.aws.intrinsics import read_template
from local.layout import ROOT

PAGES = [ROOT / "docs/security.md", *sorted((ROOT / "docs/compliance").glob("*.md"))]
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_TEMPLATE = re.compile(r"`template\.yaml: (\w+)`")
_COMMAND = re.compile(r"`make ([a-z-]+)[^`]*`")
_YOURS = "*yours*"


def claims() -> list[tuple[str, str, str]]:
    """Return the page, the claim and the proof of each row of the tables whose last column has proofs."""
    found = []
    for page in PAGES:
        proves = False
        for line in page.read_text().splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not line.startswith("|"):
                proves = False
            elif cells[-1] in ("test", "proof"):
                proves = True
            elif proves and not set(line) <= set("|- "):
                found.append((page.name, " | ".join(cells[:-1]), cells[-1]))
    return found


@cache
def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@cache
def template_names() -> set[str]:
    template = read_template(ROOT / "template.yaml")
    return {name for part in ("Resources", "Parameters", "Outputs") for name in template[part]}


@cache
def commands() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))


@pytest.mark.parametrize(
    ("page", "claim", "proof"), claims(), ids=[f"{page}-{claim[:40]}" for page, claim, _ in claims()]
)
def test_a_claim_names_proofs_that_exist(page: str, claim: str, proof: str) -> None:
    tests, names, targets = _TEST.findall(proof), _TEMPLATE.findall(proof), _COMMAND.findall(proof)
    if _YOURS in claim and not proof:
        return
    assert tests or names or targets, f"{page}, {claim}: no proof is named"
    for file, name in tests:
        assert name in functions_of(ROOT / file), f"{file}::{name} does not exist"
    assert set(names) <= template_names()
    assert set(targets) <= commands()


def test_every_risk_of_the_top_10_has_a_row() -> None:
    assert [claim.split()[0] for _, claim, _ in claims() if claim.startswith("API")] == [
        f"API{n}" for n in range(1, 11)
    ]


def test_every_chapter_of_asvs_has_rows() -> None:
    chapters = {int(re.split(r"[. ]", claim[1:])[0]) for _, claim, _ in claims() if re.match(r"V\d+[. ]", claim)}
    assert chapters == set(range(1, 18))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_row_belongs_to_a_table_with_a_header(page: Path) -> None:
    """A blank line within a table would take its rest out of it, and out of these tests."""
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|") and (number == 0 or not lines[number - 1].startswith("|")):
            assert set(lines[number + 1]) <= set("|- :"), line
