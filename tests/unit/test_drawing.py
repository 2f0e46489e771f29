"""Pictures of definitions, and what is different between two."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from email_sender.workflows.comparing import difference
from email_sender.workflows.drawing import mermaid, states, svg
from email_sender.workflows.model import StepRecord, StepStatus
from tests.unit.workflow_samples import OUTREACH, parse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"
RESCUED = {
    "name": 'a <b> & "c"',
    "steps": [
        {"id": "a", "uses": "email.send", "with": {"draft": "d"}, "on_error": {"run": "rescue"}},
        {"id": "then", "uses": "transform", "needs": ["a"], "with": {}},
        {"id": "rescue", "uses": "transform", "with": {}},
    ],
}


def record(step: str, status: StepStatus, item: int = -1) -> StepRecord:
    return StepRecord(step, item, "x", status, NOW)


def test_mermaid_names_every_step_and_how_they_follow() -> None:
    drawn = mermaid(parse(OUTREACH), {"select": "succeeded", "send": "skipped"})
    assert drawn.startswith("flowchart TD\n")
    assert '    s0["select<br/>vectors.search · succeeded"]\n' in drawn
    assert '    s1["draft<br/>template.render for each"]\n' in drawn
    assert "    s2 -->|when| s3\n" in drawn
    assert "    class s0 succeeded\n" in drawn
    assert "    class s3 skipped\n" in drawn


def test_what_handles_an_error_hangs_by_a_dashed_line() -> None:
    definition = parse(RESCUED)
    assert "    s0 -. on error .-> s2\n" in mermaid(definition, {})
    root = ElementTree.fromstring(svg(definition, {}))
    assert [each.get("stroke-dasharray") for each in root.iter(f"{SVG}path")].count("5 4") == 1


def test_the_picture_is_xml_with_a_box_a_step_and_no_two_in_one_place() -> None:
    root = ElementTree.fromstring(svg(parse(RESCUED), {"a": "failed"}))
    assert root.findtext(f"{SVG}title") == RESCUED["name"]
    boxes = [each for each in root.iter(f"{SVG}rect") if each.get("rx")]
    places = {(each.get("x"), each.get("y")) for each in boxes}
    assert len(boxes) == len(places) == 3
    width, height = int(root.get("width", 0)), int(root.get("height", 0))
    assert all(int(x or 0) >= 0 and int(x or 0) + 200 <= width and int(y or 0) + 68 <= height for x, y in places)
    assert [each.get("fill") for each in boxes].count("#ffe0de") == 1


def test_a_long_name_is_cut_and_said_in_full_beside() -> None:
    long = "s" * 60
    drawn = svg(parse({"name": "n", "steps": [{"id": long, "uses": "transform", "with": {}}]}), {})
    assert f"<title>{long}: transform</title>" in drawn
    assert f">{'s' * 25}…</text>" in drawn


@pytest.mark.parametrize("size", [1, 400])
def test_any_size_is_drawn(size: int) -> None:
    steps = [{"id": f"s{n}", "uses": "transform", "with": {}, "needs": [f"s{n - 1}"] if n else []} for n in range(size)]
    definition = parse({"name": "n", "steps": steps})
    assert svg(definition, {}).count("<g>") == size
    assert mermaid(definition, {}).count("-->") == size - 1


def test_of_items_the_worst_is_shown() -> None:
    found = states(
        [
            record("a", StepStatus.SUCCEEDED, 0),
            record("a", StepStatus.FAILED, 1),
            record("a", StepStatus.SUCCEEDED, 2),
            record("b", StepStatus.SKIPPED),
            record("c", StepStatus.SUCCEEDED, 0),
            record("c", StepStatus.WAITING, 1),
        ]
    )
    assert found == {"a": "failed", "b": "skipped", "c": "waiting"}


def test_a_difference_names_steps_and_fields_and_shows_the_text() -> None:
    before = {"name": "n", "steps": [{"id": "a", "uses": "x", "with": {"n": 1}}, {"id": "gone", "uses": "x"}]}
    after = {
        "name": "n", "description": "d",
        "steps": [{"id": "a", "uses": "x", "with": {"n": 2}, "when": None}, {"id": "new", "uses": "x"}],
    }  # fmt: skip
    found = difference(before, after, ("version 1", "version 2"))
    assert (found.added, found.removed, found.changed) == (["new"], ["gone"], {"a": ["when", "with"]})
    assert found.fields == ["description"]
    assert found.text.startswith("--- version 1\n+++ version 2\n@@")
    assert '-        "n": 1' in found.text
    same = difference(before, before, ("a", "b"))
    assert (same.added, same.removed, same.changed, same.fields, same.text) == ([], [], {}, [], "")
