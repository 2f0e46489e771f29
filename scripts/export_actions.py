"""Write docs/reference/actions.md from the catalogue of actions.

python scripts/export_actions.py          # write
python scripts/export_actions.py --check  # fail if the file is out of date
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from email_sender.workflows.action_model import Action
from email_sender.workflows.actions import ACTION_CATALOGUE

TARGET = Path(__file__).parents[1] / "docs/reference/actions.md"
_HEAD = """# Actions
The actions that a step of a [workflow](../guides/workflows.md) may use; `GET /api/v1/workflows/actions` returns them.
`make generate` writes this page from the code.

The user for whom a run acts needs the action's permission when the workflow is stored, when the run starts, and when
the step runs. `retry.on` may name an action's errors, and the result of a failed step contains one of them. A finished
step does not run again: repeating its request returns the stored result.
"""

_FORMATS = {"duration": "duration, as PT30S or P3D", "timestamp": "timestamp, as 2026-01-31T09:00:00Z"}


def document() -> str:
    return "\n".join(
        [_HEAD, *("\n".join(_section(action)) for action in sorted(ACTION_CATALOGUE, key=lambda action: action.name))]
    )


def _section(action: Action) -> Iterator[str]:
    yield f"## {action.name}"
    yield action.description
    yield ""
    notes = [f"permission: {f'`{action.permission}`' if action.permission else 'none'}"]
    if action.all_errors:
        notes.append("errors: " + ", ".join(f"`{error}`" for error in action.all_errors))
    if action.callback:
        notes.append("waits for a callback, without cost while it waits")
    if not action.allows_for_each:
        notes.append("not with `for_each`")
    yield "; ".join(notes) + "."
    yield ""
    yield from _table("with", action.input_schema)
    yield from _table("result", action.result_schema)


def _table(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    if not properties:
        if name == "with":
            yield "`with`: anything.\n"
        return
    required, alternatives = schema.get("required", ()), [option["required"][0] for option in schema.get("anyOf", ())]
    yield f"| {name} | |"
    yield "| --- | --- |"
    for key, inner in properties.items():
        note = (
            ""
            if name == "result"
            else ", required"
            if key in required
            else ", one of these"
            if key in alternatives
            else ""
        )
        yield f"| `{key}` | {_describe_type(inner)}{note} |"
    yield ""


def _describe_type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kind = schema.get("type", "anything")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if kind == "array":
        text = f"list of {_describe_type(schema.get('items', {}))}"
        if "maxItems" in schema:
            text += f", at most {schema['maxItems']:,}"
    if kind == "object" and "properties" in schema:
        text = "{" + ", ".join(f"`{name}`" for name in schema["properties"]) + "}"
    if "format" in schema:
        text = _FORMATS[schema["format"]]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        text += f" from {low:,} to {high:,}"
    if schema.get("maxLength", 0) > 1:
        text += f", at most {schema['maxLength']:,} characters"
    return text


def main() -> int:
    text = document()
    if "--check" in sys.argv:
        if not TARGET.is_file() or TARGET.read_text() != text:
            print("docs/reference/actions.md is out of date. Run `make generate`.", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
