"""Definitions and parts of definitions in the guides are what the parser accepts."""

import re
from pathlib import Path
from typing import Any

import pytest

from email_sender.adapters.documents.yaml_documents import read_yaml
from tests.unit.workflows.samples import parse

GUIDES = Path(__file__).parents[4] / "docs/guides"
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def documented() -> dict[str, Any]:
    """Return the blocks that have steps, as the platform reads them."""
    found = {}
    for page in sorted(GUIDES.glob("*.md")):
        for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
            # Others are values of parameters, or a part of a definition.
            if "\nsteps:\n" in f"\n{block}":
                found[f"{page.stem}-{number}"] = read_yaml(block)
    return found


def test_the_guides_have_examples() -> None:
    assert "webhook.answer" in str(documented())


@pytest.mark.parametrize("name", documented())
def test_an_example_can_be_stored(name: str) -> None:
    parse({"name": "documented", **documented()[name]})
