"""Draw a definition as Mermaid text or SVG, with the steps coloured by their status in a run."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from email_sender.workflows.definition.model import Definition, Step
from email_sender.workflows.model import StepRecord, StepStatus

# Fill and stroke colours by status. The status is also written as a word, because not everyone sees colours.
_COLOURS: Mapping[str, tuple[str, str]] = {
    StepStatus.SUCCEEDED: ("#d9f2e0", "#1a7f37"),
    StepStatus.FAILED: ("#ffe0de", "#b3261e"),
    StepStatus.SKIPPED: ("#ededf0", "#6e7781"),
    StepStatus.WAITING: ("#fff3cd", "#9a6700"),
    "": ("#ffffff", "#24292f"),
}
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 200, 68, 40, 56, 24
# The characters that fit into a box at 13 px in a sans-serif font.
_CHARACTERS = 26


def step_statuses(records: Iterable[StepRecord]) -> dict[str, str]:
    """Return the status of each recorded step. A for_each step gets the worst status of its items."""
    order = (StepStatus.SKIPPED, StepStatus.SUCCEEDED, StepStatus.WAITING, StepStatus.FAILED)
    worst: dict[str, str] = {}
    for record in records:
        before = worst.get(record.step)
        if before is None or order.index(record.status) > order.index(StepStatus(before)):
            worst[record.step] = record.status
    return worst


def mermaid(definition: Definition, statuses: Mapping[str, str]) -> str:
    """Return a Mermaid flowchart, which many Markdown viewers render."""
    names = {step: f"s{number}" for number, step in enumerate(definition.steps)}
    lines = ["flowchart TD"]
    for step in definition.steps.values():
        lines.append(
            f'    {names[step.id]}["{_escape_mermaid(step.id)}<br/>{_escape_mermaid(_subtitle(step, statuses))}"]'
        )
    for step in definition.steps.values():
        lines += [f"    {names[need]} -->{_edge_label(step)} {names[step.id]}" for need in step.needs]
        lines += [f"    {names[handled_step]} -. on error .-> {names[step.id]}" for handled_step in step.handles]
    for status, (fill, stroke) in _COLOURS.items():
        nodes = [names[step] for step in definition.steps if statuses.get(step, "") == status]
        if status and nodes:
            lines.append(f"    classDef {status} fill:{fill},stroke:{stroke}")
            lines.append(f"    class {','.join(nodes)} {status}")
    return "\n".join(lines) + "\n"


def svg(definition: Definition, statuses: Mapping[str, str]) -> str:
    """Return an SVG with one row per level, from top to bottom. It has no scripts and no external references."""
    positions = _positions(definition.levels)
    widest = max((len(row) for row in definition.levels), default=1)
    width = 2 * _MARGIN + widest * (_WIDTH + _GAP_X)
    height = 2 * _MARGIN + len(definition.levels) * (_HEIGHT + _GAP_Y) - _GAP_Y
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif"><title>{escape(definition.name)}</title>',
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#57606a"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for step in definition.steps.values():
        parts += [_line(positions[need], positions[step.id], dashed=False) for need in step.needs]
        parts += [_line(positions[handled_step], positions[step.id], dashed=True) for handled_step in step.handles]
    parts += [_box(step, positions[step.id], statuses) for step in definition.steps.values()]
    return "".join(parts) + "</svg>"


def _positions(levels: Sequence[Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Return the upper left corner of each step. Steps are in columns; the gaps between columns are for lines."""
    return {
        step: (_MARGIN + column_index * (_WIDTH + _GAP_X), _MARGIN + row_index * (_HEIGHT + _GAP_Y))
        for row_index, row in enumerate(levels)
        for column_index, step in enumerate(row)
    }


def _line(above: tuple[int, int], below: tuple[int, int], *, dashed: bool) -> str:
    x1, y1 = above[0] + _WIDTH // 2, above[1] + _HEIGHT
    x2, y2 = below[0] + _WIDTH // 2, below[1]
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    half = _GAP_Y // 2
    if y2 - y1 == _GAP_Y:
        path = f"C{x1} {y1 + half} {x2} {y2 - half} {x2} {y2}"
    else:
        # The line passes the rows between in the gap beside the upper step's column.
        gap = above[0] + _WIDTH + _GAP_X // 2
        down, up = y1 + _GAP_Y, y2 - _GAP_Y
        path = f"C{x1} {y1 + half} {gap} {y1 + half} {gap} {down} V{up} C{gap} {y2 - half} {x2} {y2 - half} {x2} {y2}"
    return f'<path d="M{x1} {y1} {path}" fill="none" stroke="#57606a"{dash} marker-end="url(#end)"/>'


def _box(step: Step, position: tuple[int, int], statuses: Mapping[str, str]) -> str:
    x, y = position
    fill, stroke = _COLOURS[statuses.get(step.id, "")]
    middle, status = x + _WIDTH // 2, statuses.get(step.id, "")
    status_text = _text_element(status, middle, y + 59, 11, stroke) if status else ""
    return (
        f"<g><title>{escape(step.id)}: {escape(_subtitle(step, statuses))}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="8" fill="{fill}" stroke="{stroke}"/>'
        + _text_element(_truncate(step.id), middle, y + 22, 13, "#24292f")
        + _text_element(_truncate(_action_label(step)), middle, y + 41, 11, "#57606a")
        + f"{status_text}</g>"
    )


def _text_element(text: str, x: int, y: int, size: int, colour: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle" font-size="{size}" fill="{colour}">{text}</text>'


def _action_label(step: Step) -> str:
    return step.action.name + (" for each" if step.for_each is not None else "")


def _subtitle(step: Step, statuses: Mapping[str, str]) -> str:
    status = statuses.get(step.id)
    return _action_label(step) + (f" · {status}" if status else "")


def _edge_label(step: Step) -> str:
    return "|when|" if step.when is not None else ""


def _truncate(text: str) -> str:
    return escape(text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…")


def _escape_mermaid(text: str) -> str:
    """Escape `text` for Mermaid, which uses numeric entities."""
    return "".join(
        character if character.isalnum() or character in " ._-·" else f"#{ord(character)};" for character in text
    )
