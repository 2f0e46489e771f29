"""Imports an n8n workflow: a workflow definition, a report on every node, and what stays in the customer's n8n."""

import json
from collections.abc import Mapping
from typing import Any

from email_sender.workflows.definition.expressions import ExpressionChecker
from email_sender.workflows.definition.model import MAX_BYTES
from email_sender.workflows.n8n import agents, item_nodes
from email_sender.workflows.n8n.bridge import BridgeTarget, needs_n8n
from email_sender.workflows.n8n.converter import Converter, ImportResult
from email_sender.workflows.n8n.export import ConversionOutcome, N8nExport, read_export
from email_sender.workflows.n8n.groups import loops
from email_sender.workflows.n8n.nodes import is_trigger


def import_n8n(
    raw: Mapping[str, Any], expressions: ExpressionChecker, bridge: BridgeTarget | None = None
) -> ImportResult:
    """Convert an n8n export into a complete definition.

    A node without a counterpart becomes a step that fails with the node's name if it is reached. With `bridge`, such
    nodes stay in the customer's n8n, and a step calls them there. A workflow that is too large for a definition stays
    there whole; only its triggers are here. Without a bridge, its largest nodes are left out.

    Raises:
        InvalidInput: `raw` is not an n8n workflow export.
    """
    export = read_export(raw)
    result = Converter(export, expressions).convert()
    if bridge is None:
        return _within_limits(export, expressions, result)
    bridged = set[str]()
    # With a node in n8n, a loop may stay closed, and more nodes are reached.
    while not bridged.issuperset(found := _nodes_for_n8n(export, result)):
        bridged |= found
        result = Converter(export, expressions, bridge, bridged).convert()
    if _is_too_large(result):
        everything = {name for name, node in export.nodes.items() if not is_trigger(node)}
        result = Converter(export, expressions, bridge, everything).convert()
    return result


def _is_too_large(result: ImportResult) -> bool:
    return len(json.dumps(result.definition)) > MAX_BYTES


def _within_limits(export: N8nExport, expressions: ExpressionChecker, result: ImportResult) -> ImportResult:
    """Leave out the largest nodes, one, two, four and so on, until the definition can be stored."""
    nodes = [node for node in export.nodes.values() if not is_trigger(node)]
    largest = sorted(nodes, key=lambda node: len(json.dumps(node.parameters)), reverse=True)
    count = 1
    while _is_too_large(result) and count < 2 * len(largest):
        left_out = {node.name for node in largest[:count]}
        result = Converter(export, expressions, left_out=left_out).convert()
        count *= 2
    return result


def _nodes_for_n8n(export: N8nExport, result: ImportResult) -> set[str]:
    """Return the nodes that have no step here or lose parts of themselves, and what belongs to them."""
    found = {
        entry.node
        for entry in result.report
        if entry.outcome in (ConversionOutcome.UNSUPPORTED, ConversionOutcome.BRIDGED)
        or (
            entry.steps
            and not agents.is_agent(export.nodes[entry.node])
            and needs_n8n(export, export.nodes[entry.node])
        )
    }
    # Files stay with their items within a step, or within n8n.
    for edge in export.edges:
        source, target = export.nodes[edge.source], export.nodes[edge.target]
        if edge.target in found and item_nodes.gives_files(source):
            found.add(edge.source)
        elif edge.source in found and item_nodes.reads_files(target):
            found.add(edge.target)
    for loop in loops(export.nodes, export.edges):
        # n8n runs a loop as a whole.
        if loop & found:
            found |= loop
    return {name for name in found if not is_trigger(export.nodes[name])}
