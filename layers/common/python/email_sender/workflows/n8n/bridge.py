"""The bridge: nodes that only n8n can run stay in the customer's n8n, in workflows that the import makes as well.

Our step posts the items of the nodes before to the workflow's webhook, with a callback URL (http.wait_for_callback):

    Webhook ─┬─ one Code node for each node before, with its name and its items ── the nodes ── errors ── Failed ── Stop
             └─ Collect: the items of the outputs that our steps read ── Answer

n8n finishes the upper branch first ("executionOrder": "v1" goes by the nodes' places). Failed and Answer post to the
callback URL; the first answer counts.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from email_sender.workflows.n8n.export import Edge, N8nExport, Node
from email_sender.workflows.n8n.item_nodes import ReturnedOutput, quoted

HEADER: Final = "x-email-sender-key"
# How long nodes in the customer's n8n may take. A workflow that n8n refuses to execute answers nothing.
_TIMEOUT: Final = "PT1H"
_WEBHOOK, _COLLECT, _ANSWER, _FAILED, _STOP = (
    f"Email Sender: {part}" for part in ("webhook", "collect", "answer", "failed", "stop")
)
# Nodes with several outputs: which of them is the one for errors depends on their parameters.
_SEVERAL_OUTPUTS: Final = frozenset(
    {"if", "switch", "splitInBatches", "compareDatasets", "textClassifier", "sentimentAnalysis", "guardrails"}
)
_BOUND_TO_AGENTS: Final = ("ai_tool", "ai_memory", "ai_outputParser")
_COLLECTING = """\
const items = (name, output) => {
  const found = [];
  if (!$(name).isExecuted) return found;
  for (let run = 0; ; run++) {
    let ofRun;
    // n8n does not tell how often a node ran. It throws for a run that was not.
    try { ofRun = $(name).all(output, run); } catch { return found; }
    for (const item of ofRun) found.push(item.json);
  }
};
"""


@dataclass(frozen=True, slots=True)
class BridgeTarget:
    """The customer's n8n: its base URL, and the name of the tenant's secret that its webhooks expect."""

    url: str
    secret_name: str

    def webhook_url(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/webhook/{path}"


@dataclass(frozen=True, slots=True)
class Part:
    """Connected nodes that stay in n8n.

    `before` maps the names of the nodes before to how many of their outputs are given.
    """

    names: Sequence[str]
    before: Mapping[str, int]
    edges: Sequence[Edge]
    returned: Sequence[ReturnedOutput]


def needs_n8n(export: N8nExport, node: Node) -> bool:
    """Return whether a node has tools, a memory or a parser, which our steps leave out."""
    kinds = {
        kind
        for connections in export.sub_connections.values()
        for kind, edges in connections.items()
        if any(edge.target == node.name for edge in edges)
    }
    return not kinds.isdisjoint(_BOUND_TO_AGENTS)


def calling_step(bridge: BridgeTarget, path: str, given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the step that calls the half of a workflow in n8n, without its id.

    `given` has the JSONata of the items of each output of the nodes before.
    """
    arguments = {
        "url": bridge.webhook_url(path),
        "secret_headers": {HEADER: bridge.secret_name},
        "timeout": _TIMEOUT,
        "body": {"given": [{"node": quoted(name), "outputs": outputs} for name, outputs in given.items()]},
    }
    return {"uses": "http.wait_for_callback", "with": arguments, "retry": {"max_attempts": 5, "interval": "PT2S"}}


def n8n_workflow(export: N8nExport, part: Part) -> tuple[str, dict[str, Any]]:
    """Return the path of the webhook, and the workflow to import in n8n.

    The same part always has the same path, and a changed one another: runs of an older version still find theirs.
    """
    workflow = _workflow(export, part)
    digest = sha256(json.dumps(workflow).encode()).hexdigest()[:12]
    path = f"email-sender-{export.nodes[part.names[0]].step}-{digest}"
    return path, {**workflow, "nodes": [_webhook(path), *workflow["nodes"]]}


def _workflow(export: N8nExport, part: Part) -> dict[str, Any]:
    nodes = list[dict[str, Any]]()
    connections: dict[str, Any] = {_WEBHOOK: {"main": [[_target(name) for name in _given_names(part)]]}}
    for place, (name, (node, output)) in enumerate(_given_names(part).items()):
        nodes.append(_given_node(name, node, output, place))
        following = [
            _target(edge.target, edge.input) for edge in part.edges if (edge.source, edge.output) == (node, output)
        ]
        connections[name] = {"main": [following]}
    for name in part.names:
        edges = [edge for edge in part.edges if edge.source == name]
        has_several = any(edge.output > 0 for edge in export.edges if edge.source == name)
        raw, outputs = _with_error_output(export.nodes[name], _targets(edges), has_several=has_several)
        nodes.append(_with_items_by_place(raw, part))
        connections[name] = {"main": outputs}
    sub_nodes = sub_nodes_of(export, part.names)
    for name in sub_nodes:
        nodes.append(_with_items_by_place(_complete(export.nodes[name]), part))
        connections[name] = {
            kind: [
                [
                    {"node": edge.target, "type": kind, "index": edge.input}
                    for edge in edges
                    if edge.target in {*part.names, *sub_nodes}
                ]
            ]
            for kind, edges in export.sub_connections[name].items()
        }
    connections[_WEBHOOK]["main"][0].append(_target(_COLLECT))
    connections[_COLLECT] = {"main": [[_target(_ANSWER)]]}
    connections[_FAILED] = {"main": [[_target(_STOP)]]}
    nodes += [_collect(part), _post(_ANSWER, "={{ JSON.stringify($json) }}", 100_000), _failed(), _stop()]
    return {
        "name": f"{export.name[:80]}: {part.names[0]}"[:128],
        "nodes": nodes,
        "connections": connections,
        "settings": {"executionOrder": "v1", **({"timezone": export.timezone} if export.timezone else {})},
    }


def _given_names(part: Part) -> dict[str, tuple[str, int]]:
    """Return the Code nodes that stand for the nodes before: the first output of each has the node's own name."""
    names = {node: (node, 0) for node in part.before}
    for node, count in part.before.items():
        for output in range(1, count):
            name = f"{node} (output {output + 1})"
            while name in names or name in part.names:
                name += "'"
            names[name] = (node, output)
    return names


def _targets(edges: Sequence[Edge]) -> list[list[dict[str, Any]]]:
    outputs: list[list[dict[str, Any]]] = [[] for _ in range(max((edge.output for edge in edges), default=-1) + 1)]
    for edge in edges:
        outputs[edge.output].append(_target(edge.target, edge.input))
    return outputs


def _with_error_output(
    node: Node, outputs: list[list[dict[str, Any]]], *, has_several: bool
) -> tuple[dict[str, Any], list[list[dict[str, Any]]]]:
    """Return the node and its connections, with an output for errors unless it handles its errors itself."""
    raw = _complete(node)
    handles_errors = node.continues_on_error or raw.get("onError") == "continueErrorOutput"
    if handles_errors or has_several or node.type in _SEVERAL_OUTPUTS:
        return raw, outputs
    first = outputs[0] if outputs else []
    return {**raw, "onError": "continueErrorOutput"}, [first, [_target(_FAILED)]]


def _with_items_by_place(raw: dict[str, Any], part: Part) -> dict[str, Any]:
    """Return a node whose expressions take the item of a given node by its place.

    In n8n, a given node is no ancestor of a node that it does not lead to, so that it cannot tell its items' origin.
    Between our steps, the place counts too.
    """
    direct = {edge.source for edge in part.edges if edge.target == raw["name"] and edge.output == 0}
    others = [re.escape(name) for name in part.before if name not in direct]
    if not others:
        return raw
    pattern = re.compile(rf"""(\$\(\s*(["'`])(?:{"|".join(others)})\2\s*\))\s*\.\s*item\b(?!Matching)""")

    def rewrite(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(r"\1.all()[$itemIndex]", value)
        if isinstance(value, Mapping):
            return {key: rewrite(nested) for key, nested in value.items()}
        return [rewrite(nested) for nested in value] if isinstance(value, list) else value

    return {**raw, "parameters": rewrite(raw["parameters"])}


def _complete(node: Node) -> dict[str, Any]:
    """Return the node as the export has it, with the fields that n8n requires of an import."""
    position = node.raw.get("position")
    is_placed = isinstance(position, list) and len(position) == 2
    complete = {**node.raw, "typeVersion": node.version, "parameters": node.parameters}
    if not is_placed:
        complete["position"] = [0, 0]
    if node.type == "respondToWebhook":
        # n8n refuses a request if a node responds although the webhook does it. It passes its items on.
        complete |= {"type": "n8n-nodes-base.noOp", "typeVersion": 1, "parameters": {}}
    return complete


def sub_nodes_of(export: N8nExport, names: Sequence[str]) -> list[str]:
    """Return the models, tools and so on of these nodes, and of those in turn."""
    wanted, found = [*names], list[str]()
    while wanted:
        parent = wanted.pop()
        for name, connections in export.sub_connections.items():
            if name not in found and any(edge.target == parent for edges in connections.values() for edge in edges):
                found.append(name)
                wanted.append(name)
    return found


def _target(name: str, index: int = 0) -> dict[str, Any]:
    return {"node": name, "type": "main", "index": index}


def _webhook(path: str) -> dict[str, Any]:
    return {
        "name": _WEBHOOK,
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2,
        "position": [-600, 0],
        "webhookId": path,
        "parameters": {
            "httpMethod": "POST",
            "path": path,
            "authentication": "headerAuth",
            "responseMode": "onReceived",
        },
        "credentials": {"httpHeaderAuth": {"id": "email-sender", "name": "Email Sender"}},
    }


def _code(name: str, code: str, position: tuple[int, int]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "n8n-nodes-base.code",
        "typeVersion": 2,
        "position": list(position),
        "parameters": {"jsCode": code},
    }


def _given_node(name: str, node: str, output: int, place: int) -> dict[str, Any]:
    code = (
        f"const given = $('{_WEBHOOK}').first().json.body.given.find((entry) => entry.node === {json.dumps(node)});\n"
        "const isObject = (value) => typeof value === 'object' && !Array.isArray(value);\n"
        f"return given.outputs[{output}].filter((value) => value !== null)\n"
        "  .map((value) => ({ json: isObject(value) ? value : { data: value } }));"
    )
    # Above all others, so that a node whose items are only read has them in time.
    return _code(name, code, (-300, -100_000 + 100 * place))


def _collect(part: Part) -> dict[str, Any]:
    results = "\n".join(
        f"result[{json.dumps(result.name)}] = items({json.dumps(result.node)}, {result.output});"
        for result in part.returned
    )
    code = f"{_COLLECTING}const result = {{}};\n{results}\nreturn [{{ json: {{ result }} }}];"
    return _code(_COLLECT, code, (-300, 100_000))


def _post(name: str, body: str, y: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "n8n-nodes-base.httpRequest",
        "typeVersion": 4.2,
        "position": [900, y],
        "parameters": {
            "method": "POST",
            "url": f"={{{{ $('{_WEBHOOK}').first().json.body.callback_url }}}}",
            "sendBody": True,
            "specifyBody": "json",
            "jsonBody": body,
            "options": {},
        },
        "retryOnFail": True,
        "maxTries": 5,
        "waitBetweenTries": 5_000,
    }


def _failed() -> dict[str, Any]:
    error = "$json.error?.message || $json.error || $json.message || 'A node failed.'"
    body = f"={{{{ JSON.stringify({{ error: [...String({error})].slice(0, 1000).join('') }}) }}}}"
    # Above all others: what follows the node that failed does not run, as in the customer's workflow.
    return {**_post(_FAILED, body, -200_000), "executeOnce": True}


def _stop() -> dict[str, Any]:
    return {
        "name": _STOP,
        "type": "n8n-nodes-base.stopAndError",
        "typeVersion": 1,
        "position": [1_200, -200_000],
        "parameters": {"errorMessage": "A node failed. The run was told."},
    }
