"""The sandbox beside a real n8n, on workflows that hypothesis makes. `make test-n8n` runs this; it installs n8n first.

One execution of n8n takes about ten seconds, whatever it executes. So one workflow has many rows of nodes.
"""

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sandbox_lambda import engine

N8N = Path(os.environ["N8N_FOLDER"]) / "node_modules/.bin"
ROWS, ROUNDS = 40, int(os.environ.get("ROUNDS", "3"))

_LEAVES = st.sampled_from([None, True, False, 0, 1, -2.5, "", "a", "B c", "5", "2024-03-05T10:00:00Z", "true"])
_VALUES = _LEAVES | st.lists(_LEAVES, max_size=3) | st.dictionaries(st.sampled_from(["p", "q"]), _LEAVES, max_size=2)
_ITEMS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES, max_size=3), min_size=1, max_size=5)
_FIELDS = st.sampled_from(["a", "b", "c", "c.p"])
_EXPRESSIONS = st.sampled_from(
    [
        "={{ $json.a }}", "={{ $json.c.p }}", "={{ $json.a + 1 }}", "={{ $json.a + $json.b }}", "=x {{ $json.a }} y",
        "={{ $json.a ?? 'none' }}", "={{ $json.a || $json.b }}", "={{ $json.a.length }}", "={{ typeof $json.b }}",
        "={{ Object.keys($json).join() }}", "={{ $json.a > $json.b }}", "={{ $json.a == $json.b }}",
        "={{ $itemIndex }}",
        "={{ JSON.stringify($json.a) }}", "={{ $json.a.isEmpty() }}", "={{ [$json.a, $json.b].compact() }}",
        "={{ String($json.a).toTitleCase() }}", "={{ $('Items').item.json.a }}", "={{ $('Items').first().json.b }}",
        "={{ $('Items').all().length }}", "={{ Number($json.a) }}", "={{ !$json.b }}", "={{ $input.all().length }}",
    ]
)  # fmt: skip
_OPERATORS = st.sampled_from(
    [(kind, operation)
     for kind, operations in {
        "string": ["equals", "notEquals", "contains", "notContains", "startsWith", "notEndsWith", "exists", "empty"],
        "number": ["equals", "gt", "lt", "gte", "notEquals", "exists", "notEmpty"],
        "boolean": ["true", "false", "equals", "notExists"], "dateTime": ["after", "before", "exists"],
        "array": ["contains", "lengthGt", "empty", "notExists"], "object": ["empty", "notEmpty", "exists"],
     }.items() for operation in operations]
)  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    def condition() -> dict[str, Any]:
        kind, operation = draw(_OPERATORS)
        right_type = {"rightType": "number" if operation == "lengthGt" else "any"} if kind == "array" else {}
        right = {"string": "a", "number": 1, "boolean": True, "dateTime": "2024-01-01T00:00:00Z", "array": 1}.get(kind)
        operator: dict[str, Any] = {"type": kind, "operation": operation, **right_type}
        if operation in ("exists", "notExists", "empty", "notEmpty", "true", "false"):
            operator["singleValue"] = True
        return {"id": "1", "leftValue": draw(_EXPRESSIONS), "rightValue": right, "operator": operator}

    options: dict[str, Any] = {"caseSensitive": draw(st.booleans()), "leftValue": "", "version": 2}
    options["typeValidation"] = draw(st.sampled_from(["strict", "loose"]))
    rows = [condition() for _ in range(draw(st.integers(1, 2)))]
    return {"options": options, "conditions": rows, "combinator": draw(st.sampled_from(["and", "or"]))}


@st.composite
def item_nodes(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(
        st.sampled_from(
            ["set", "oldSet", "filter", "limit", "sort", "splitOut", "aggregate", "removeDuplicates", "noOp"]
        )
    )
    field = draw(_FIELDS)
    types = st.sampled_from(["string", "number", "boolean", "array", "object"])
    made: dict[str, tuple[str, float, dict[str, Any]]] = {
        "set": ("set", 3.4, {
            "assignments": {"assignments": [
                {"id": "1", "name": draw(_FIELDS), "value": draw(_EXPRESSIONS), "type": draw(types)}]},
            "includeOtherFields": draw(st.booleans()), "options": {}}),
        "oldSet": ("set", 2, {
            "values": {draw(st.sampled_from(["string", "number", "boolean"])): [
                {"name": draw(_FIELDS), "value": draw(_EXPRESSIONS)}]},
            "keepOnlySet": draw(st.booleans()), "options": {}}),
        "filter": ("filter", 2.2, {"conditions": draw(conditions()), "options": {}}),
        "limit": ("limit", 1, {"maxItems": draw(st.integers(1, 3)),
                               "keep": draw(st.sampled_from(["firstItems", "lastItems"]))}),
        "sort": ("sort", 1, {"sortFieldsUi": {"sortField": [
            {"fieldName": field, "order": draw(st.sampled_from(["ascending", "descending"]))}]}, "options": {}}),
        "splitOut": ("splitOut", 1, {"fieldToSplitOut": field, "options": {},
                                     "include": draw(st.sampled_from(["noOtherFields", "allOtherFields"]))}),
        "aggregate": ("aggregate", 1, {"fieldsToAggregate": {"fieldToAggregate": [{"fieldToAggregate": field}]},
                                       "options": {"keepMissing": draw(st.booleans())}}),
        "removeDuplicates": ("removeDuplicates", 2, {
            "compare": "selectedFields", "fieldsToCompare": field, "options": {}}),
        "noOp": ("noOp", 1, {}),
    }  # fmt: skip
    short, version, parameters = made[kind]
    return {"type": f"n8n-nodes-base.{short}", "typeVersion": version, "parameters": parameters}


def workflow(items: list[Any], rows: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Return a workflow that leads the items through each row of nodes. A node that fails passes its items on."""
    code = f"return {json.dumps([{'json': item} for item in items])}"
    nodes: list[dict[str, Any]] = [
        {"id": "start", "name": "Start", "type": "n8n-nodes-base.manualTrigger", "typeVersion": 1, "position": [0, 0],
         "parameters": {}},
        {"id": "items", "name": "Items", "type": "n8n-nodes-base.code", "typeVersion": 2, "position": [200, 0],
         "parameters": {"jsCode": code}},
    ]  # fmt: skip
    connections: dict[str, Any] = {
        "Start": {"main": [[{"node": "Items", "type": "main", "index": 0}]]},
        "Items": {"main": [[]]},
    }
    for row, made in enumerate(rows):
        before = "Items"
        for place, node in enumerate(made):
            name = f"Row {row} node {place}"
            position = [400 + 200 * place, 100 * row]
            nodes.append({"id": name, "name": name, "position": position, "onError": "continueRegularOutput", **node})
            connections.setdefault(before, {"main": [[]]})["main"][0].append({"node": name, "type": "main", "index": 0})
            before = name
    settings = {"executionOrder": "v1", "timezone": "UTC"}
    return {
        "id": "generated", "name": "generated", "active": False, "nodes": nodes, "connections": connections,
        "settings": settings,
    }  # fmt: skip


def n8n_runs(made: dict[str, Any], home: Path) -> dict[str, Any]:
    path = home / "workflow.json"
    path.write_text(json.dumps([made]))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {
        "N8N_USER_FOLDER": str(home), "N8N_DIAGNOSTICS_ENABLED": "false", "GENERIC_TIMEZONE": "UTC", "TZ": "UTC",
        "PATH": f"{N8N}:{os.environ['PATH']}", "HOME": str(home),
    }  # fmt: skip
    output = ""
    for arguments in (["import:workflow", f"--input={path}"], ["execute", f"--id={made['id']}", "--rawOutput"]):
        result = subprocess.run([N8N / "n8n", *arguments], env=environment, capture_output=True, text=True, timeout=280)
        assert result.returncode == 0, result.stdout[-3_000:] + result.stderr[-3_000:]
        output = result.stdout
    data = json.JSONDecoder().raw_decode(output, output.index('{\n  "data"'))[0]["data"]["resultData"]["runData"]
    return {
        name: [{"outputs": [[item["json"] for item in items or []] for items in run["data"]["main"]]} for run in runs]
        for name, runs in data.items()
    }


@pytest.mark.timeout(3_600)
@settings(max_examples=ROUNDS, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
@given(_ITEMS, st.lists(st.lists(item_nodes(), min_size=1, max_size=3), min_size=ROWS, max_size=ROWS))
def test_the_sandbox_gives_what_n8n_gives(items: list[Any], rows: list[list[dict[str, Any]]]) -> None:
    made = workflow(items, rows)
    request = {"workflow": made, "given": [{"node": "Start", "outputs": [[{}]]}]}
    ours = json.loads(engine.run(json.dumps(request), 60))["runs"]
    with TemporaryDirectory() as home:
        theirs = n8n_runs(made, Path(home))
    theirs.pop("Start")
    nodes = {node["name"]: node for node in made["nodes"]}
    assert ours.keys() == theirs.keys()
    differing = [
        f"{json.dumps(nodes[name])}\n  n8n:  {json.dumps(theirs[name])}\n  ours: {json.dumps(ours[name])}"
        for name in theirs
        if ours[name] != theirs[name]
    ]
    assert not differing, "\n".join(differing)
