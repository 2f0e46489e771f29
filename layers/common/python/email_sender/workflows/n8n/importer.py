"""Converts an n8n workflow export into a workflow definition, with a report on every node."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from email_sender.workflows.definition.expressions import BadExpression, ExpressionChecker
from email_sender.workflows.n8n.context import Conversion, NodeContext
from email_sender.workflows.n8n.export import ConversionOutcome, Edge, N8nExport, Node, ReportEntry, read_export
from email_sender.workflows.n8n.expressions import Untranslatable
from email_sender.workflows.n8n.nodes import convert_node, is_trigger
from email_sender.workflows.triggers.parser import MAX_TRIGGERS, is_time_zone

_LOOP = "splitInBatches"
# A longer input gets a transform step of its own, so that expressions do not grow from node to node.
_MAX_INPUT_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class ImportResult:
    """A converted workflow. `report` has one entry for each node of the export, in the export's order."""

    definition: Mapping[str, Any]
    report: Sequence[ReportEntry]


@dataclass(frozen=True, slots=True)
class _NodeResult:
    """Result of a converted node: the JSONata of the items at each output, and the steps that produce them."""

    outputs: Sequence[str]
    needs: Sequence[str]

    def items(self, output: int) -> str:
        return self.outputs[output] if output < len(self.outputs) else "[]"


def import_n8n(raw: Mapping[str, Any], expressions: ExpressionChecker) -> ImportResult:
    """Convert an n8n export into a complete definition.

    A node without a counterpart becomes a step that fails with the node's name if it is reached.

    Raises:
        InvalidInput: `raw` is not an n8n workflow export.
    """
    export = read_export(raw)
    return _Importer(export, expressions).convert()


class _Importer:
    def __init__(self, export: N8nExport, expressions: ExpressionChecker) -> None:
        self._export, self._expressions = export, expressions
        self._results: dict[str, _NodeResult] = {}
        self._step_ids = {node.step for node in export.nodes.values()}
        self._steps: list[dict[str, Any]] = []
        self._triggers: list[Mapping[str, Any]] = []
        self._entries: dict[str, ReportEntry] = {}
        self._edges, self._loops = _remove_cycles(export)
        # "DEFAULT" is the time zone of the n8n installation, which an export does not contain.
        self._zone = export.timezone if is_time_zone(export.timezone) else "UTC"

    def convert(self) -> ImportResult:
        for name in _topological_order(self._export.nodes, self._edges):
            self._entries[name] = self._convert_node(self._export.nodes[name])
        steps = self._steps or [{"id": "nothing", "uses": "transform", "with": {}}]
        definition = {
            "name": self._export.name,
            "description": "Imported from n8n.",
            "inputs": {"type": "object"},
            **({"triggers": self._triggers[:MAX_TRIGGERS]} if self._triggers else {}),
            "steps": steps,
        }
        return ImportResult(definition, [self._entries[name] for name in self._export.nodes])

    def _convert_node(self, node: Node) -> ReportEntry:
        if node.type == "stickyNote":
            return ReportEntry(node.name, node.type, ConversionOutcome.DROPPED, notes=["a sticky note has no step"])
        if node.name in self._export.sub_nodes:
            parent = self._export.sub_nodes[node.name]
            return ReportEntry(
                node.name, node.type, ConversionOutcome.DROPPED, notes=[f"it is a sub-node of {parent!r}"]
            )
        incoming = [edge for edge in self._edges if edge.target == node.name and edge.source in self._results]
        if not incoming and not is_trigger(node):
            return ReportEntry(
                node.name, node.type, ConversionOutcome.DROPPED, notes=["it cannot be reached from a trigger"]
            )
        needs = list(dict.fromkeys(step for edge in incoming for step in self._results[edge.source].needs))
        inputs, joining_steps = self._join_long_inputs(node, self._inputs(incoming), needs)
        needs = [*needs, *joining_steps]
        context = NodeContext(node, inputs, self._items_of, timezone=self._zone)
        try:
            conversion = (
                Conversion(ConversionOutcome.EXACT, None, [context.items]) if node.disabled else convert_node(context)
            )
            self._check(conversion)
        except Untranslatable as reason:
            context.notes.append(str(reason))
            conversion = _failing_conversion(node, context.items, str(reason))
        notes = [*context.notes, *(["it is disabled and passes its items through"] if node.disabled else [])]
        if node.name in self._loops:
            notes.append("the loop body runs for all items, not in batches; the steps after the loop start later")
            conversion = replace(
                conversion,
                outcome=ConversionOutcome.APPROXIMATED,
                outputs=[conversion.outputs[0], conversion.outputs[0]],
            )
        return self._add_result(node, conversion, needs, notes)

    def _check(self, conversion: Conversion) -> None:
        """Raise Untranslatable if a generated expression is invalid, usually because it is too long."""
        for source in _expressions(conversion.step):
            try:
                self._expressions.check(source)
            except BadExpression as error:
                raise Untranslatable(f"the generated expression {error}") from None

    def _add_result(
        self, node: Node, conversion: Conversion, needs: Sequence[str], notes: Sequence[str]
    ) -> ReportEntry:
        if conversion.step is None:
            self._results[node.name] = _NodeResult(conversion.outputs, needs)
            return ReportEntry(node.name, node.type, conversion.outcome, notes=notes)
        if conversion.trigger is not None:
            self._triggers.append(conversion.trigger)
        step = {"id": node.step, **conversion.step, "needs": list(needs)}
        if node.continues_on_error and conversion.outcome is not ConversionOutcome.UNSUPPORTED:
            step["on_error"] = "continue"
        self._steps.append(step)
        step_result = f"$steps.`{node.step}`"
        # In brackets: a single item must stay a list, and a skipped step has no result.
        outputs = [f"[{output.replace('$self', step_result)}]" for output in conversion.outputs]
        self._results[node.name] = _NodeResult(outputs, [node.step])
        return ReportEntry(node.name, node.type, conversion.outcome, [node.step], notes)

    def _inputs(self, incoming: Sequence[Edge]) -> dict[int, str]:
        inputs: dict[int, str] = {}
        for edge in incoming:
            items = self._results[edge.source].items(edge.output)
            inputs[edge.input] = f"$append({inputs[edge.input]}, {items})" if edge.input in inputs else items
        return inputs

    def _join_long_inputs(
        self, node: Node, inputs: dict[int, str], needs: Sequence[str]
    ) -> tuple[dict[int, str], list[str]]:
        """Return the inputs, with the long ones read from an added step each, and the ids of the added steps."""
        joining_steps = []
        for number, items in inputs.items():
            if len(items) > _MAX_INPUT_CHARACTERS:
                name = f"{node.step}-in{number}"
                while name in self._step_ids:
                    name += "x"
                self._step_ids.add(name)
                arguments = {"items": f"{{% [$append({items}, [])] %}}"}
                self._steps.append({"id": name, "uses": "transform", "needs": list(needs), "with": arguments})
                inputs[number] = f"[$steps.`{name}`.items]"
                joining_steps.append(name)
        return inputs, joining_steps

    def _items_of(self, name: str) -> str | None:
        result = self._results.get(name)
        return result.items(0) if result else None


def _expressions(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("{%"):
            yield value.removeprefix("{%").removesuffix("%}").strip()
    elif isinstance(value, Mapping | list):
        for nested in value.values() if isinstance(value, Mapping) else value:
            yield from _expressions(nested)


def _failing_conversion(node: Node, items: str, reason: str) -> Conversion:
    """Return a step that fails with the node's name if n8n would have reached the node."""
    message = f"The node {node.name} ({node.type}) was not imported: {reason}."[:500]
    quoted = "".join(character if character.isalnum() or character in " .,:;()_-/" else " " for character in message)
    step = {
        "uses": "transform",
        "when": f"{{% $count({items}) > 0 %}}",
        "with": {"items": f'{{% $error("{quoted}") %}}'},
    }
    return Conversion(ConversionOutcome.UNSUPPORTED, step, ["$self.items"])


def _remove_cycles(export: N8nExport) -> tuple[list[Edge], frozenset[str]]:
    """Return the edges that do not close a cycle, and the names of the nodes where a loop starts.

    The body of a loop node leads back to the loop node. The nodes after the loop are connected to the end of the body
    instead.
    """
    outgoing: dict[str, list[Edge]] = {name: [] for name in export.nodes}
    for edge in export.edges:
        outgoing[edge.source].append(edge)
    back_edges: set[Edge] = set()
    state: dict[str, int] = {}
    for start in export.nodes:
        if start in state:
            continue
        stack = [(start, iter(outgoing[start]))]
        state[start] = 1
        while stack:
            name, edges = stack[-1]
            for edge in edges:
                if state.get(edge.target) == 1:
                    back_edges.add(edge)
                elif edge.target not in state:
                    state[edge.target] = 1
                    stack.append((edge.target, iter(outgoing[edge.target])))
                    break
            else:
                state[name] = 2
                stack.pop()
    forward_edges = [edge for edge in export.edges if edge not in back_edges]
    loops = frozenset(edge.target for edge in back_edges)
    for edge in sorted(back_edges, key=lambda back_edge: (back_edge.target, back_edge.source)):
        if export.nodes[edge.target].type == _LOOP:
            # The loop body is connected to the second output since version 3, and to the first output before that.
            body = 1 if export.nodes[edge.target].version >= 3 else 0
            forward_edges = _reconnect_after_body(forward_edges, edge, body)
    return forward_edges, loops


def _reconnect_after_body(edges: Sequence[Edge], back_edge: Edge, body: int) -> list[Edge]:
    """Connect the nodes at the loop's "done" output to the end of the loop body instead."""
    reconnected_edges = []
    for edge in edges:
        if edge.source == back_edge.target and edge.output != body and edge.target != back_edge.source:
            reconnected_edges.append(Edge(back_edge.source, back_edge.output, edge.target, edge.input))
        else:
            reconnected_edges.append(edge)
    return list(dict.fromkeys(reconnected_edges))


def _topological_order(nodes: Mapping[str, Node], edges: Sequence[Edge]) -> list[str]:
    """Return the node names with each node after its sources, and otherwise in the export's order."""
    sources = {name: {edge.source for edge in edges if edge.target == name} for name in nodes}
    order: list[str] = []
    remaining = list(nodes)
    while remaining:
        ordered_nodes = set(order)
        # Reconnecting the end of a loop can create a new cycle: then the first remaining node comes next.
        next_node = next((name for name in remaining if sources[name] <= ordered_nodes), remaining[0])
        order.append(next_node)
        remaining.remove(next_node)
    return order
