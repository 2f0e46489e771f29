"""A definition as a picture: Mermaid text, and SVG drawn by its levels; coloured by what a run made of the steps."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from email_sender.workflows.definition import Definition, Step
from email_sender.workflows.model import StepRecord, StepStatus

# Fill and line; each is told by a word too, since not everyone sees colours.
_COLOURS: Mapping[str, tuple[str, str]] = {
    StepStatus.SUCCEEDED: ("#d9f2e0", "#1a7f37"),
    StepStatus.FAILED: ("#ffe0de", "#b3261e"),
    StepStatus.SKIPPED: ("#ededf0", "#6e7781"),
    StepStatus.WAITING: ("#fff3cd", "#9a6700"),
    "": ("#ffffff", "#24292f"),
}
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 200, 68, 40, 56, 24
# At 13 px in a sans-serif, what fits into a box.
_CHARACTERS = 26


def states(records: Iterable[StepRecord]) -> dict[str, str]:
    """What became of each step: of a for_each's items the worst."""
    order = (StepStatus.SKIPPED, StepStatus.SUCCEEDED, StepStatus.WAITING, StepStatus.FAILED)
    found: dict[str, str] = {}
    for record in records:
        before = found.get(record.step)
        if before is None or order.index(record.status) > order.index(StepStatus(before)):
            found[record.step] = record.status
    return found


def mermaid(definition: Definition, states: Mapping[str, str]) -> str:
    """A flowchart, for what renders Mermaid: many Markdown viewers do."""
    names = {step: f"s{number}" for number, step in enumerate(definition.steps)}
    lines = ["flowchart TD"]
    for step in definition.steps.values():
        lines.append(f'    {names[step.id]}["{_quoted(step.id)}<br/>{_quoted(_subtitle(step, states))}"]')
    for step in definition.steps.values():
        lines += [f"    {names[need]} -->{_label(step)} {names[step.id]}" for need in step.needs]
        lines += [f"    {names[each]} -. on error .-> {names[step.id]}" for each in step.handles]
    for state, (fill, line) in _COLOURS.items():
        coloured = [names[step] for step in definition.steps if states.get(step, "") == state]
        if state and coloured:
            lines.append(f"    classDef {state} fill:{fill},stroke:{line}")
            lines.append(f"    class {','.join(coloured)} {state}")
    return "\n".join(lines) + "\n"


def svg(definition: Definition, states: Mapping[str, str]) -> str:
    """One row a level, from the top. It holds no script and asks for nothing from elsewhere."""
    places = _places(definition.levels)
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
        parts += [_line(places[need], places[step.id], dashed=False) for need in step.needs]
        parts += [_line(places[each], places[step.id], dashed=True) for each in step.handles]
    parts += [_box(step, places[step.id], states) for step in definition.steps.values()]
    return "".join(parts) + "</svg>"


def _places(levels: Sequence[Sequence[str]]) -> dict[str, tuple[int, int]]:
    """The left upper corner of each step. In columns, so that what lies between two of them is free for lines."""
    return {
        step: (_MARGIN + across * (_WIDTH + _GAP_X), _MARGIN + down * (_HEIGHT + _GAP_Y))
        for down, row in enumerate(levels)
        for across, step in enumerate(row)
    }


def _line(above: tuple[int, int], below: tuple[int, int], *, dashed: bool) -> str:
    x1, y1 = above[0] + _WIDTH // 2, above[1] + _HEIGHT
    x2, y2 = below[0] + _WIDTH // 2, below[1]
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    half = _GAP_Y // 2
    if y2 - y1 == _GAP_Y:
        way = f"C{x1} {y1 + half} {x2} {y2 - half} {x2} {y2}"
    else:
        # Past the rows between, in the gap beside the column it comes from.
        gap = above[0] + _WIDTH + _GAP_X // 2
        down, up = y1 + _GAP_Y, y2 - _GAP_Y
        way = f"C{x1} {y1 + half} {gap} {y1 + half} {gap} {down} V{up} C{gap} {y2 - half} {x2} {y2 - half} {x2} {y2}"
    return f'<path d="M{x1} {y1} {way}" fill="none" stroke="#57606a"{dash} marker-end="url(#end)"/>'


def _box(step: Step, place: tuple[int, int], states: Mapping[str, str]) -> str:
    x, y = place
    fill, line = _COLOURS[states.get(step.id, "")]
    middle, state = x + _WIDTH // 2, states.get(step.id, "")
    said = _said(state, middle, y + 59, 11, line) if state else ""
    return (
        f"<g><title>{escape(step.id)}: {escape(_subtitle(step, states))}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="8" fill="{fill}" stroke="{line}"/>'
        + _said(_short(step.id), middle, y + 22, 13, "#24292f")
        + _said(_short(_action(step)), middle, y + 41, 11, "#57606a")
        + f"{said}</g>"
    )


def _said(text: str, x: int, y: int, size: int, colour: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle" font-size="{size}" fill="{colour}">{text}</text>'


def _action(step: Step) -> str:
    return step.action.name + (" for each" if step.for_each is not None else "")


def _subtitle(step: Step, states: Mapping[str, str]) -> str:
    state = states.get(step.id)
    return _action(step) + (f" · {state}" if state else "")


def _label(step: Step) -> str:
    return "|when|" if step.when is not None else ""


def _short(text: str) -> str:
    return escape(text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…")


def _quoted(text: str) -> str:
    """Mermaid's own way: entities by number."""
    return "".join(each if each.isalnum() or each in " ._-·" else f"#{ord(each)};" for each in text)
