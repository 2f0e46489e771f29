"""Every claim in docs/security.md names tests that exist: a claim without a proof fails."""

import ast
import re
from pathlib import Path

import pytest

from local.layout import ROOT

PAGE = ROOT / "docs/security.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def claims() -> list[tuple[str, str]]:
    """Return the first and the last cell of each row of the tables whose last column has tests."""
    found = []
    proves = False
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            proves = False
        elif cells[-1] == "test":
            proves = True
        elif proves and not set(line) <= set("|- "):
            found.append((cells[0], cells[-1]))
    return found


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("claim", "proof"), claims(), ids=[claim[:40] for claim, _ in claims()])
def test_a_claim_names_tests_that_exist(claim: str, proof: str) -> None:
    named = _TEST.findall(proof)
    assert named, f"{claim}: no test is named"
    for file, name in named:
        assert name in functions_of(ROOT / file), f"{file}::{name} does not exist"


def test_every_risk_of_the_top_10_has_a_row() -> None:
    assert [claim.split()[0] for claim, _ in claims() if claim.startswith("API")] == [f"API{n}" for n in range(1, 11)]
