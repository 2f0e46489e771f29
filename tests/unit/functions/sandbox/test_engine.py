"""Limits and walls of the sandbox, and what expressions and nodes do that no recorded case covers."""

import json
import time
from itertools import pairwise
from typing import Any

import pytest

from email_sender.adapters.aws.lambda_sandbox import parse_answer
from email_sender.errors import InvalidInput
from email_sender.workflows.n8n import item_nodes
from sandbox_lambda import engine


def run(*nodes: dict[str, Any], items: list[dict[str, Any]] | None = None, seconds: float = 20) -> dict[str, Any]:
    """Run nodes in a row over items, and return the answer."""
    row = [{"name": "Start", "type": "n8n-nodes-base.manualTrigger"}, *nodes]
    connections = {
        source["name"]: {"main": [[{"node": target["name"], "index": 0}]]} for source, target in pairwise(row)
    }
    workflow = {"nodes": row, "connections": connections, "settings": {"executionOrder": "v1"}}
    request = {"workflow": workflow, "given": [{"node": "Start", "outputs": [items or [{"n": 1}]]}]}
    return dict(json.loads(engine.run(json.dumps(request), seconds)))


def code(source: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "Code", "type": "n8n-nodes-base.code", "typeVersion": 2, "parameters": {"jsCode": source}, **more
    }  # fmt: skip


def expression(source: str, items: list[dict[str, Any]] | None = None) -> Any:
    """Return the value of an expression."""
    values = {"values": {"string": [{"name": "v", "value": source}]}, "keepOnlySet": True}
    node = {"name": "Set", "type": "n8n-nodes-base.set", "typeVersion": 2, "parameters": values}
    answer = run(node, items=items)
    assert answer["error"] is None, answer["error"]
    return answer["runs"]["Set"][0]["outputs"][0][0].get("v")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("while (true) {}", "ran longer than 1 s"),
        ("for (;;) await 0", "ran longer than 1 s|does not end"),
        ("await new Promise(() => {})", "does not end"),
        ("const f = () => f() + 1; return f()", "calls itself too often"),
    ],
    ids=["loop", "loop of waits", "waits for ever", "recursion"],
)
def test_code_without_an_end_is_stopped_and_the_next_call_works(source: str, problem: str) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidInput, match=problem):
        run(code(source), seconds=1)
    assert time.monotonic() - started < 20
    assert run(code("return [{ok: true}]"))["runs"]["Code"][0]["outputs"] == [[{"ok": True}]]


@pytest.mark.parametrize(
    "source",
    ["const l = []; while (true) l.push(new ArrayBuffer(50_000_000))", "return [{t: 'x'.repeat(2 ** 29)}]"],
)
def test_code_that_needs_too_much_memory_fails_its_node(source: str) -> None:
    answer = run(code(source))
    assert answer["error"]["node"] == "Code"
    assert run(code("return [{ok: true}]"))["runs"]["Code"][0]["outputs"] == [[{"ok": True}]]


@pytest.mark.parametrize(
    "name",
    ["process", "fetch", "XMLHttpRequest", "WebSocket", "Deno", "Bun", "std", "os", "__dirname", "global",
     "importScripts", "load", "print", "open"],
)  # fmt: skip
def test_code_reaches_no_files_and_no_network(name: str) -> None:
    assert run(code(f"return [{{kind: typeof {name}}}]"))["runs"]["Code"][0]["outputs"] == [[{"kind": "undefined"}]]


def test_code_gets_no_package() -> None:
    assert run(code("require('fs')"))["error"]["message"].startswith("Module 'fs' is disallowed")


@pytest.mark.parametrize("specifier", ["fs", "/etc/passwd", "../engine.py", "../../engine.py", "http://localhost/"])
def test_code_loads_no_module(specifier: str) -> None:
    answer = run(code(f"const m = await import({specifier!r}); return [m]"))
    assert answer["error"]["node"] == "Code"


def test_a_call_sees_nothing_of_the_one_before() -> None:
    run(code("globalThis.secret = 1; Array.prototype.secret = 2; String.prototype.trim = () => 'mine'; return []"))
    answer = run(code("return [{a: typeof secret, b: typeof [].secret, c: ' x '.trim()}]"))
    assert answer["runs"]["Code"][0]["outputs"] == [[{"a": "undefined", "b": "undefined", "c": "x"}]]


@pytest.mark.parametrize("kind", sorted(item_nodes.ITEM_TYPES))
def test_every_node_that_the_import_sends_here_is_known(kind: str) -> None:
    answer = run({"name": "It", "type": f"n8n-nodes-base.{kind}", "parameters": {}})
    assert "cannot run here" not in str(answer["error"])


@pytest.mark.parametrize(
    "source",
    [
        "Object.prototype.toJSON = () => 5; return [{a: 1}]",
        "Array.prototype.toJSON = () => 5; return [{a: 1}]",
        "JSON.stringify = () => 'mine'; JSON.parse = () => 'mine'; return [{a: 1}]",
    ],
)
def test_code_does_not_change_the_shape_of_the_answer(source: str) -> None:
    request = {
        "workflow": {
            "nodes": [{"name": "Start", "type": "x"}, code(source)],
            "connections": {"Start": {"main": [[{"node": "Code"}]]}},
        },
        "given": [{"node": "Start", "outputs": [[{}]]}],
    }
    answer = parse_answer(engine.run(json.dumps(request), 20))
    assert answer.runs["Code"][0].outputs == [[{"a": 1}]]


def test_an_error_names_its_line() -> None:
    answer = run(code("const a = 1;\nthrow new Error('no')"))
    assert answer["error"] == {"node": "Code", "message": "no [line 2]"}


def test_a_workflow_that_never_ends_is_stopped() -> None:
    node = {"name": "Set", "type": "n8n-nodes-base.set", "typeVersion": 2, "parameters": {}}
    request = {
        "workflow": {
            "nodes": [{"name": "Start", "type": "x"}, node],
            "connections": {
                "Start": {"main": [[{"node": "Set"}]]}, "Set": {"main": [[{"node": "Set"}]]},
            },
        },
        "given": [{"node": "Start", "outputs": [[{}]]}],
    }  # fmt: skip
    answer = json.loads(engine.run(json.dumps(request), 20))
    assert "endless loop" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("={{ DateTime.fromISO('2024-07-01T10:00:00Z').setZone('Europe/Paris').toFormat('HH:mm z') }}",
         "12:00 Europe/Paris"),
        ("={{ DateTime.fromISO('2024-03-31T01:30', {zone: 'Europe/Berlin'}).plus({hours: 1}).toISO() }}",
         "2024-03-31T03:30:00.000+02:00"),
        ("={{ '2024-07-01'.toDateTime().format('cccc d LLLL') }}", "Monday 1 July"),
        ("={{ $jmespath($json, 'people[?age > `18`].name') }}", ["Ada"]),
        ("={{ $json.people.pluck('age').sum() }}", 43),
        ("={{ $json.people.map(p => p.name.toLowerCase()).join() }}", "ada,bob"),
        ("={{ [1, 2, 2].removeDuplicates().length }}", 2),
        ("={{ $json.people.first().hasField('name') }}", True),
        ("={{ (1234.5).toLocaleString() }}", "1,234.5"),
        ("={{ $json.none.isEmpty() }}", True),
        ("={{ nowhere }}", None),
        ("={{ nowhere.deeper }}", None),
        ("={{ (() => { const a = 1; return a + 1 })() }}", 2),
        ("={{ $execution.id + $workflow.name }}", ""),
        ("=\\{{ no }} {{ 'yes' }}", "{{ no }} yes"),
        ("={{ globalThis }}{{ eval }}{{ Function }}", ""),
        ("={{ ['ä', 'z', 'a'].sort((x, y) => x.localeCompare(y)).join('') }}", "aäz"),
    ],
)  # fmt: skip
def test_an_expression_has_the_value_that_the_editor_documents(source: str, value: Any) -> None:
    assert expression(source, [{"people": [{"name": "Ada", "age": 36}, {"name": "Bob", "age": 7}]}]) == value


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("={{ 1 + }}", "invalid syntax"),
        ("={{ 'a' ", "invalid syntax"),
        ("={{ $env.HOME }}", "access to env vars denied"),
        ("={{ $('Nobody').first().json.x }}", "Referenced node doesn't exist"),
        ("={{ Math.round }}", "this is a function"),
    ],
)
def test_an_expression_that_cannot_be_evaluated_fails_the_node(source: str, message: str) -> None:
    values = {"values": {"string": [{"name": "v", "value": source}]}}
    answer = run({"name": "Set", "type": "n8n-nodes-base.set", "typeVersion": 2, "parameters": values})
    assert message in answer["error"]["message"]


def test_ten_nodes_over_2000_items_need_less_than_a_quarter_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MEMORY_BYTES", engine.MEMORY_BYTES // 4)
    values = {"values": {"string": [{"name": "v", "value": "={{ $json.n + 1 }}"}]}}
    nodes = [
        {"name": f"Set{number}", "type": "n8n-nodes-base.set", "typeVersion": 2, "parameters": values}
        for number in range(10)
    ]
    answer = run(*nodes, items=[{"n": number} for number in range(2_000)])
    assert answer["runs"]["Set9"][0]["outputs"][0][1_999] == {"n": 1_999, "v": 2_000}


@pytest.mark.parametrize(
    "more", [[], [{"name": "Page", "type": "html", "typeVersion": 1, "parameters": {"html": "x"}}]]
)
def test_code_does_not_see_what_libraries_were_loaded_with(more: list[dict[str, Any]]) -> None:
    seen = code("return [{module: typeof globalThis.module, exports: typeof globalThis.exports}]")
    answer = run(seen, *more)
    assert answer["error"] is None
    assert answer["runs"]["Code"][0]["outputs"][0] == [{"module": "undefined", "exports": "undefined"}]
