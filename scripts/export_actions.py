"""Writes docs/reference/actions.md from the catalogue of actions.

python scripts/export_actions.py          # write
python scripts/export_actions.py --check  # fail where the catalogue says otherwise
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from email_sender.workflows.catalogue import SPINE, Action

TARGET = Path(__file__).parents[1] / "docs/reference/actions.md"
_HEAD = """# Actions
What a step of a [workflow](../guides/workflows.md) may use, as `GET /api/v1/workflows/actions` tells it. Written from
the code by `make openapi`.

An action needs its permission of whom the run acts for: when the workflow is stored, when the run starts, and when the
step runs. Its errors are what `retry.on` may name and what a failed step's result says. A step that ran once is not run
again, whoever asks for it again: it gives what it gave.
"""

_FORMATS = {"duration": "duration, as PT30S or P3D", "timestamp": "instant, as 2026-01-31T09:00:00Z"}


def document() -> str:
    return "\n".join([_HEAD, *("\n".join(_section(action)) for action in sorted(SPINE, key=lambda each: each.name))])


def _section(action: Action) -> Iterator[str]:
    yield f"## {action.name}"
    yield action.description
    yield ""
    said = [f"permission: {f'`{action.permission}`' if action.permission else 'none'}"]
    if action.all_errors:
        said.append("errors: " + ", ".join(f"`{each}`" for each in action.all_errors))
    if action.callback:
        said.append("it waits, and costs nothing meanwhile")
    if not action.by_item:
        said.append("not with `for_each`")
    yield "; ".join(said) + "."
    yield ""
    yield from _table("with", action.input_schema)
    yield from _table("result", action.result_schema)


def _table(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    if not properties:
        if name == "with":
            yield "`with`: anything.\n"
        return
    required, either = schema.get("required", ()), [each["required"][0] for each in schema.get("anyOf", ())]
    yield f"| {name} | |"
    yield "| --- | --- |"
    for key, inner in properties.items():
        note = (
            "" if name == "result" else ", required" if key in required else ", one of these" if key in either else ""
        )
        yield f"| `{key}` | {_words(inner)}{note} |"
    yield ""


def _words(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    kind = schema.get("type", "anything")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if kind == "array":
        words = f"list of {_words(schema.get('items', {}))}"
        if "maxItems" in schema:
            words += f", at most {schema['maxItems']:,}"
    if kind == "object" and "properties" in schema:
        words = "{" + ", ".join(f"`{each}`" for each in schema["properties"]) + "}"
    if "format" in schema:
        words = {"duration": "duration, as PT30S or P3D", "timestamp": "instant, as 2026-01-31T09:00:00Z"}[
            schema["format"]
        ]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        words += f" from {low:,} to {high:,}"
    if schema.get("maxLength", 0) > 1:
        words += f", at most {schema['maxLength']:,} characters"
    return words


def main() -> int:
    text = document()
    if "--check" in sys.argv:
        if not TARGET.is_file() or TARGET.read_text() != text:
            print("docs/reference/actions.md is not what the catalogue says: run `make openapi`", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
