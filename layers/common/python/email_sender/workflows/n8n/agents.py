"""Agents and chains: nodes whose models, tools, memories and parsers are nodes of their own.

They run in the sandbox, which asks the deployment's text model, and runs the tools that the model calls.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from email_sender.workflows.n8n import item_nodes, service_nodes
from email_sender.workflows.n8n.bridge import sub_nodes_of
from email_sender.workflows.n8n.export import N8nExport, Node

_VERSIONS: Final[Mapping[str, tuple[float, float]]] = {
    "agent": (1, 3.1), "chainLlm": (1, 1.9), "chainRetrievalQa": (1, 1.7)
}  # fmt: skip
# Those that insert are steps of their own (vector_nodes.py).
_STORES: Final = ("vectorStoreInMemory", "vectorStorePinecone", "vectorStoreQdrant", "vectorStoreSupabase")
_COLLECTION: Final = "message_vectors"
_SEARCHES: Final = f"searches the collection {_COLLECTION}: replace it with your collection"
# Kinds of agents of version 1 that think with other prompts, but can do what the one with tools can.
_KINDS: Final = ("toolsAgent", "conversationalAgent", "openAiFunctionsAgent", "reActAgent")
_OWN_TOOLS: Final = ("agentTool", "toolCalculator", "toolCode", "toolSerpApi", "toolThink", "toolWikipedia")
_PARSERS: Final = ("outputParserStructured", "outputParserAutofixing", "outputParserItemList")
# The platform keeps what was said, wherever n8n would.
_MEMORIES: Final = ("memoryBufferWindow", "memoryPostgresChat", "memoryRedisChat", "memoryMongoDbChat")


def is_agent(node: Node) -> bool:
    """Return whether the node asks the model, or searches vectors, in the sandbox."""
    return node.type in _VERSIONS or (node.type in _STORES and node.parameters.get("mode", "load") == "load")


def reason_against(export: N8nExport, node: Node) -> str | None:
    """Return why the node cannot run here with all that belongs to it, or None if it can."""
    if node.type in _STORES:
        if not item_nodes.is_storable(node.parameters):
            return "its parameters have too many levels, or names that look like our expressions"
        return None if node.parameters.get("prompt") else "of a vector store, only searching by text is supported"
    first, last = _VERSIONS[node.type]
    if not first <= node.version <= last:
        return f"version {node.version:g} of this node is not supported"
    kind = node.parameters.get("agent", "toolsAgent")
    if node.type == "agent" and kind not in _KINDS:
        return f"an agent of the kind {str(kind)[:40]!r} is not supported"
    for name in (node.name, *sub_nodes_of(export, [node.name])):
        if not item_nodes.is_storable(export.nodes[name].parameters):
            return f"{name[:80]!r} has too many levels, or names that look like our expressions"
    for kind, sub_node in _attached(export, node.name):
        reason = _reason_against_sub_node(export, kind, sub_node)
        if reason is not None:
            return reason
    return None


def sub_nodes_here(export: N8nExport, names: Sequence[str]) -> list[str]:
    """Return the nodes that belong to the agents among the nodes of a step."""
    return sub_nodes_of(export, [name for name in names if export.nodes[name].type in _VERSIONS])


def connections_of(export: N8nExport, sub_nodes: Sequence[str]) -> dict[str, Any]:
    """Return the connections of these nodes to those that they belong to, as n8n writes them."""
    return {
        name: {
            kind: [[{"node": edge.target, "index": edge.input} for edge in edges]]
            for kind, edges in export.sub_connections[name].items()
        }
        for name in sub_nodes
    }


def differences(export: N8nExport, node: Node) -> Iterator[str]:
    """Yield what the author has to do or to know."""
    if not is_agent(node) or node.disabled:
        return
    if node.type in _STORES:
        yield _SEARCHES
        return
    yield "it uses the deployment's text model, not the one that it names"
    if node.type == "chainRetrievalQa":
        yield _SEARCHES
    if node.parameters.get("agent") in _KINDS[1:]:
        yield "it calls its tools as an agent of the kind 'toolsAgent' does"
    for kind, sub_node in _attached(export, node.name):
        if kind != "ai_tool" or sub_node.type in _OWN_TOOLS:
            continue
        tool = as_tool(sub_node)
        if _searches(sub_node):
            yield f"{sub_node.name}: {_SEARCHES}"
        elif sub_node.type == "toolWorkflow":
            called = _called(sub_node)
            other = "" if called == "=" else f"import the workflow {called!r} too; "
            yield f"{sub_node.name}: {other}the workflow that it calls may take some minutes"
        elif sub_node.type == "toolHttpRequest":
            request = replace(sub_node, type="httpRequest", version=4.2)
            yield from (f"{sub_node.name}: {note}" for note in service_nodes.differences(request))
        elif service_nodes.sends_mail(tool):
            yield f"{sub_node.name}: mail of the model is a draft that a person approves; the agent does not wait"
        elif service_nodes.is_service(tool):
            yield from (f"{sub_node.name}: {note}" for note in service_nodes.differences(tool))


def _searches(node: Node) -> bool:
    is_store = node.type.startswith("vectorStore") and node.parameters.get("mode") == "retrieve-as-tool"
    return is_store or node.type == "toolVectorStore"


def _called(node: Node) -> str:
    """Return the name or id of the workflow that a tool calls: "=" for the workflow itself, "" if it is computed."""
    if node.parameters.get("source", "database") != "database":
        return ""
    target = node.parameters.get("workflowId")
    raw = target.get("cachedResultName") or target.get("value") if isinstance(target, dict) else target
    if isinstance(raw, str) and raw.startswith("="):
        return "=" if "$workflow.id" in raw else ""
    return raw[:200] if isinstance(raw, str) else ""


def here(node: Node) -> Node:
    """Return a node as the sandbox gets it: what searches has the collection among its parameters, to be replaced."""
    searches = node.type in _STORES or node.type == "chainRetrievalQa" or _searches(node)
    return replace(node, parameters={**node.parameters, "collection": _COLLECTION}) if searches else node


def writes_mail(export: N8nExport, sub_nodes: Sequence[str]) -> str | None:
    """Return the name of a tool that writes mail, or None if there is none."""
    found = (name for name in sub_nodes if service_nodes.sends_mail(as_tool(export.nodes[name])))
    return next(found, None)


def as_tool(node: Node) -> Node:
    """Return the node that does what a tool does: googleSheetsTool does what googleSheets does."""
    return replace(node, type=node.type.removesuffix("Tool"))


def _attached(export: N8nExport, name: str) -> Iterator[tuple[str, Node]]:
    """Yield the nodes that belong to a node, and how: "ai_tool"."""
    for sub_node, connections in export.sub_connections.items():
        for kind, edges in connections.items():
            if any(edge.target == name for edge in edges):
                yield kind, export.nodes[sub_node]


def _reason_against_sub_node(export: N8nExport, kind: str, node: Node) -> str | None:
    named = f"{node.name[:80]!r} ({node.type})"
    if node.disabled or kind == "ai_languageModel":
        return None
    if kind == "ai_memory":
        return None if node.type in _MEMORIES else f"its memory {named} is not supported"
    if kind == "ai_outputParser":
        return None if node.type in _PARSERS else f"its parser {named} is not supported"
    if kind == "ai_retriever":
        return None if node.type == "retrieverVectorStore" else f"its retriever {named} is not supported"
    if kind != "ai_tool":
        return f"{named} is not supported"
    reason = _reason_against_tool(export, node)
    return None if reason is None else f"its tool {named} cannot run here: {reason}"


def _reason_against_tool(export: N8nExport, node: Node) -> str | None:
    if node.type == "agentTool":
        return reason_against(export, replace(node, type="agent", version=min(node.version, 3)))
    if node.type == "toolHttpRequest":
        # It has the credentials of a request, under the same names.
        return service_nodes.reason_against(replace(node, type="httpRequest", version=4.2))
    if node.type == "toolCode":
        return None if node.parameters.get("language", "javaScript") == "javaScript" else "it is not JavaScript"
    if node.type in _OWN_TOOLS or _searches(node):
        return None
    if node.type == "toolWorkflow":
        return None if _called(node) else "the called workflow must have a fixed name"
    tool = as_tool(node)
    if tool.type == node.type:
        return "no step does what it does"
    if service_nodes.sends_mail(tool):
        has_files = service_nodes.has_option(tool, "attachmentsUi", "attachments")
        return "mail with files is not supported" if has_files else None
    if service_nodes.answers_mail(tool):
        return "a person approves each mail here"
    if service_nodes.is_service(tool):
        return service_nodes.reason_against(tool)
    return None if item_nodes.runs_here(tool) else "no step does what it does"
