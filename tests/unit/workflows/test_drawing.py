"""Tests for diagrams of workflow definitions and for the differences between two definitions."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from email_sender.workflows.definition.diff import compare_definitions
from email_sender.workflows.drawing import mermaid, step_statuses, svg
from email_sender.workflows.model import StepRecord, StepStatus
from tests.unit.workflows.samples import OUTREACH, parse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"
WITH_ERROR_HANDLER = {
    "name": 'a <b> & "c"',
    "steps": [
        {"id": "a", "uses": "email.send", "with": {"draft": "d"}, "on_error": {"run": "rescue"}},
        {"id": "then", "uses": "transform", "needs": ["a"], "with": {}},
        {"id": "rescue", "uses": "transform", "with": {}},
    ],
}


def record(step: str, status: StepStatus, item: int = -1) -> StepRecord:
    return StepRecord(step, item, "x", status, NOW)


def test_mermaid_shows_every_step_and_its_connections() -> None:
    diagram = mermaid(parse(OUTREACH), {"select": "succeeded", "send": "skipped"})
    assert diagram.startswith("flowchart TD\n")
    assert '    s0["select<br/>vectors.search · succeeded"]\n' in diagram
    assert '    s1["draft<br/>template.render for each"]\n' in diagram
    assert "    s2 -->|when| s3\n" in diagram
    assert "    class s0 succeeded\n" in diagram
    assert "    class s3 skipped\n" in diagram


def test_an_error_handler_is_connected_by_a_dashed_line() -> None:
    definition = parse(WITH_ERROR_HANDLER)
    assert "    s0 -. on error .-> s2\n" in mermaid(definition, {})
    root = ElementTree.fromstring(svg(definition, {}))
    assert [path.get("stroke-dasharray") for path in root.iter(f"{SVG}path")].count("5 4") == 1


def test_the_svg_has_one_box_per_step_and_no_two_share_a_position() -> None:
    root = ElementTree.fromstring(svg(parse(WITH_ERROR_HANDLER), {"a": "failed"}))
    assert root.findtext(f"{SVG}title") == WITH_ERROR_HANDLER["name"]
    boxes = [rectangle for rectangle in root.iter(f"{SVG}rect") if rectangle.get("rx")]
    positions = {(box.get("x"), box.get("y")) for box in boxes}
    assert len(boxes) == len(positions) == 3
    width, height = int(root.get("width", 0)), int(root.get("height", 0))
    assert all(int(x or 0) >= 0 and int(x or 0) + 200 <= width and int(y or 0) + 68 <= height for x, y in positions)
    assert [box.get("fill") for box in boxes].count("#ffe0de") == 1


def test_a_long_name_is_shortened_and_shown_in_full_in_the_title() -> None:
    long = "s" * 60
    diagram = svg(parse({"name": "n", "steps": [{"id": long, "uses": "transform", "with": {}}]}), {})
    assert f"<title>{long}: transform</title>" in diagram
    assert f">{'s' * 25}…</text>" in diagram


@pytest.mark.parametrize("size", [1, 400])
def test_definitions_of_any_size_are_drawn(size: int) -> None:
    steps = [{"id": f"s{n}", "uses": "transform", "with": {}, "needs": [f"s{n - 1}"] if n else []} for n in range(size)]
    definition = parse({"name": "n", "steps": steps})
    assert svg(definition, {}).count("<g>") == size
    assert mermaid(definition, {}).count("-->") == size - 1


def test_a_step_over_items_shows_the_worst_status() -> None:
    statuses = step_statuses(
        [
            record("a", StepStatus.SUCCEEDED, 0),
            record("a", StepStatus.FAILED, 1),
            record("a", StepStatus.SUCCEEDED, 2),
            record("b", StepStatus.SKIPPED),
            record("c", StepStatus.SUCCEEDED, 0),
            record("c", StepStatus.WAITING, 1),
        ]
    )
    assert statuses == {"a": "failed", "b": "skipped", "c": "waiting"}


def test_a_difference_lists_steps_fields_and_the_text_diff() -> None:
    before = {"name": "n", "steps": [{"id": "a", "uses": "x", "with": {"n": 1}}, {"id": "gone", "uses": "x"}]}
    after = {
        "name": "n", "description": "d",
        "steps": [{"id": "a", "uses": "x", "with": {"n": 2}, "when": None}, {"id": "new", "uses": "x"}],
    }  # fmt: skip
    changes = compare_definitions(before, after, ("version 1", "version 2"))
    assert (changes.added, changes.removed, changes.changed) == (["new"], ["gone"], {"a": ["when", "with"]})
    assert changes.fields == ["description"]
    assert changes.text.startswith("--- version 1\n+++ version 2\n@@")
    assert '-        "n": 1' in changes.text
    no_changes = compare_definitions(before, before, ("a", "b"))
    assert (no_changes.added, no_changes.removed, no_changes.changed, no_changes.fields, no_changes.text) == (
        [],
        [],
        {},
        [],
        "",
    )
