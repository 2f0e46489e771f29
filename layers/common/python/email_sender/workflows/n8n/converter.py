"""Converts the nodes of an n8n export into the steps of a definition, with a report on every node.

Connected nodes over items become one step, which the sandbox runs as n8n does. Other nodes become a step each.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from email_sender.workflows.definition.expressions import ExpressionChecker
from email_sender.workflows.n8n import agents, item_nodes, webhook_answers
from email_sender.workflows.n8n.bridge import BridgeTarget, Part, calling_step, n8n_workflow, sub_nodes_of
from email_sender.workflows.n8n.checks import check_storable
from email_sender.workflows.n8n.context import (
    Conversion,
    FollowingStep,
    NodeContext,
    Untranslatable,
    failing_conversion,
    replaced,
)
from email_sender.workflows.n8n.export import ConversionOutcome, Edge, N8nExport, Node, ReportEntry
from email_sender.workflows.n8n.forms import asked_inputs
from email_sender.workflows.n8n.groups import ordered_groups, reachable, targets_by_source
from email_sender.workflows.n8n.loops import open_loops, order_of
from email_sender.workflows.n8n.mail import mail_of_agents, templates_of
from email_sender.workflows.n8n.nodes import convert_node, is_trigger, with_time_to_wait
from email_sender.workflows.n8n.sandbox_steps import connections_of, mark_stored, sandbox_step
from email_sender.workflows.n8n.triggers import NEVER, trigger_conditions
from email_sender.workflows.triggers.parser import MAX_TRIGGERS, is_time_zone

# A longer input gets a transform step of its own, so that expressions do not grow from node to node.
_MAX_INPUT_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class ImportResult:
    """A converted workflow. `report` has one entry for each node of the export, in the export's order.

    `n8n_workflows` are the workflows to import in the customer's n8n, if there is a bridge to it. `templates` are those
    that the definition needs, as bodies for POST /templates.
    """

    definition: Mapping[str, Any]
    report: Sequence[ReportEntry]
    n8n_workflows: Sequence[Mapping[str, Any]] = ()
    templates: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class _NodeResult:
    """Result of a converted node: the JSONata of the items at each output, and the steps that produce them."""

    outputs: Sequence[str]
    needs: Sequence[str]

    def items(self, output: int) -> str:
        return self.outputs[output] if output < len(self.outputs) else "[]"


class Converter:
    """Converts one export. `bridged` nodes stay in the n8n of `bridge`; the definition is too large for `left_out`."""

    def __init__(
        self,
        export: N8nExport,
        expressions: ExpressionChecker,
        bridge: BridgeTarget | None = None,
        bridged: Collection[str] = (),
        left_out: Collection[str] = (),
    ) -> None:
        self._export = export = webhook_answers.with_last_answer(export)
        self._expressions, self._bridge, self._bridged = expressions, bridge, bridged
        self._left_out = left_out
        self._n8n_workflows: list[Mapping[str, Any]] = []
        self._results: dict[str, _NodeResult] = {}
        self._step_ids = {node.step for node in export.nodes.values()}
        self._steps: list[dict[str, Any]] = []
        self._joining: set[str] = set()
        self._triggers: list[Mapping[str, Any]] = []
        self._entries: dict[str, ReportEntry] = {}
        self._edges, self._loops, self._opened_loops = open_loops(export, bridged)
        names = [name for name, node in export.nodes.items() if self._starts(node)]
        self._conditions = trigger_conditions({name: export.nodes[name].type for name in names})
        # "DEFAULT" is the time zone of the n8n installation, which an export does not contain.
        self._zone = export.timezone if is_time_zone(export.timezone) else "UTC"

    def convert(self) -> ImportResult:
        for name, node in self._export.nodes.items():
            if (reason := self._reason_to_drop(node)) is not None:
                self._entries[name] = ReportEntry(name, node.type, ConversionOutcome.DROPPED, notes=[reason])
        names = [name for name in order_of(self._export.nodes, self._edges, self._loops) if name not in self._entries]
        edges = [edge for edge in self._edges if edge.source in names and edge.target in names]
        for group in ordered_groups(names, edges, self._place_of):
            if group[0] in self._bridged and self._bridge is not None:
                self._convert_bridged_group(group, self._bridge)
            elif self._runs_here(group[0]):
                self._convert_group(group)
            else:
                self._entries[group[0]] = self._convert_node(self._export.nodes[group[0]])
        mark_stored(self._steps, self._joining)
        started = [
            node
            for name, node in self._export.nodes.items()
            if self._starts(node) and self._conditions.get(name, ("",))[0] != NEVER
        ]
        steps = self._steps or [{"id": "nothing", "uses": "transform", "with": {}}]
        definition = {
            "name": self._export.name,
            **asked_inputs(started, is_alone=len(started) == 1),
            **({"triggers": self._triggers[:MAX_TRIGGERS]} if self._triggers else {}),
            "steps": steps,
        }
        report = [self._entries[name] for name in self._export.nodes if name not in self._export.added]
        return ImportResult(with_time_to_wait(definition), report, self._n8n_workflows, templates_of(steps))

    def _starts(self, node: Node) -> bool:
        return is_trigger(node) and not node.disabled and node.name not in self._export.sub_nodes

    def _place_of(self, name: str) -> str | None:
        if name in self._bridged:
            return "n8n"
        return "sandbox" if self._runs_here(name) else None

    def _runs_here(self, name: str) -> bool:
        node = self._export.nodes[name]
        if (is_trigger(node) and not node.disabled) or name in self._left_out:
            return False
        if agents.is_agent(node) and not node.disabled:
            return agents.reason_against(self._export, node) is None
        if item_nodes.waits_shortly(node):
            return any(name in loop for loop in self._loops)
        return item_nodes.runs_here(node) and not (node.type == "splitInBatches" and name in self._opened_loops)

    def _reason_to_drop(self, node: Node) -> str | None:
        if node.type == "stickyNote":
            return "a sticky note has no step"
        if node.name in self._export.sub_nodes:
            return f"it is a sub-node of {self._export.sub_nodes[node.name]!r}"
        return None if node.name in self._reachable else "it cannot be reached from a trigger"

    @cached_property
    def _reachable(self) -> set[str]:
        starts = {name for name, node in self._export.nodes.items() if self._starts(node)}
        return starts | reachable(starts, targets_by_source(self._edges))

    # ---- Nodes in the sandbox ---------------------------------------------------------------------------------------

    def _convert_group(self, names: Sequence[str]) -> None:
        """Convert connected item nodes to one step."""
        nodes = self._export.nodes
        step_id = nodes[names[0]].step
        sub_nodes = agents.sub_nodes_here(self._export, names)
        given, needs, condition = self._given(names, sub_nodes)
        edges = [edge for edge in self._edges if edge.target in names and edge.source in {*names, *given}]
        sandbox_nodes = [item_nodes.sandbox_node(agents.here(nodes[name])) for name in [*names, *sub_nodes]]
        connections = connections_of(edges) | agents.connections_of(self._export, sub_nodes)
        results = self._returned(names)
        step = sandbox_step(
            self._export, self._zone, given, sandbox_nodes, connections, results, asking=[nodes[name] for name in names]
        )
        self._steps.append({"id": step_id, **step, "needs": list(needs), "when": condition})
        if any(webhook_answers.is_answering(self._export, nodes[name]) for name in names):
            step["with"]["answers"] = True
            answer_id = self._unused_id(f"{step_id}-answer")
            self._steps.append({"id": answer_id, **webhook_answers.answer_step(step_id), "needs": [step_id]})
        if tool := agents.writes_mail(self._export, sub_nodes):
            render, *following = mail_of_agents(step_id, tool)
            self._add_steps([step_id], {**render.step, "id": self._unused_id(f"{step_id}-{render.suffix}")}, following)
        self._set_results(names, step_id, "items", results)
        for name in names:
            self._entries[name] = self._group_entry(nodes[name], names, step_id)

    def _returned(self, group: Sequence[str]) -> list[item_nodes.ReturnedOutput]:
        """Return the outputs of a group's nodes whose items its step returns."""
        return [
            item_nodes.ReturnedOutput(f"{self._export.nodes[name].step}_{output}", name, output)
            for name in group
            for output in self._returned_outputs(name, group)
        ]

    def _set_results(
        self, group: Sequence[str], step_id: str, field: str, returned: Sequence[item_nodes.ReturnedOutput]
    ) -> None:
        """Keep where later steps find the items of a group's nodes: in a field of the step's result."""
        for name in group:
            found = {result.output: result.name for result in returned if result.node == name}
            outputs = [
                f"[$steps.`{step_id}`.{field}.`{found[output]}`]" if output in found else "[]"
                for output in range(max(found, default=0) + 1)
            ]
            self._results[name] = _NodeResult(outputs, [step_id])

    def _convert_bridged_group(self, names: Sequence[str], bridge: BridgeTarget) -> None:
        """Convert connected nodes to one step that calls the customer's n8n, and to a workflow there."""
        nodes = self._export.nodes
        step_id = nodes[names[0]].step
        given, needs, condition = self._given(names, sub_nodes_of(self._export, names))
        edges = [edge for edge in self._edges if edge.target in names and edge.source in {*names, *given}]
        returned = self._returned(names)
        part = Part(names, {name: len(outputs) for name, outputs in given.items()}, edges, returned)
        path, workflow = n8n_workflow(self._export, part)
        self._n8n_workflows.append(workflow)
        step = {"id": step_id, **calling_step(bridge, path, given), "needs": list(needs), "when": condition}
        self._steps.append(step)
        self._set_results(names, step_id, "result", returned)
        for name in names:
            note = f"it runs in your n8n, in the workflow {workflow['name']!r}, with your credentials there"
            self._entries[name] = ReportEntry(name, nodes[name].type, ConversionOutcome.BRIDGED, [step_id], [note])

    def _given(
        self, names: Sequence[str], sub_nodes: Sequence[str] = ()
    ) -> tuple[dict[str, list[str]], list[str], str]:
        """Return the outputs of the nodes before a group, the steps that give them, and when there are items."""
        incoming = [edge for edge in self._edges if edge.target in names and edge.source not in names]
        sources = {edge.source: None for edge in incoming if edge.source in self._results}
        read = {
            other for name in [*names, *sub_nodes] for other in item_nodes.referenced_nodes(self._export.nodes[name])
        }
        others = [name for name in self._results if name in read - {*names} and name not in sources]
        needs = list(dict.fromkeys(step for name in [*sources, *others] for step in self._results[name].needs))
        given: dict[str, list[str]] = {}
        counts = []
        for name in [*sources, *others]:
            used = {edge.output for edge in incoming if edge.source == name} or {0}
            outputs = []
            for output in range(max(used) + 1):
                items = self._results[name].items(output) if output in used else "[]"
                inputs, joining_steps = self._join_long_inputs(self._export.nodes[names[0]], {0: items}, needs)
                needs = list(dict.fromkeys([*needs, *joining_steps]))
                outputs.append(f"{{% [$append({inputs[0]}, [])] %}}")
                if name in sources and output in used:
                    counts.append(f"$count({inputs[0]})")
            given[name] = outputs
        return given, needs, f"{{% {' + '.join(counts) or '0'} > 0 %}}"

    def _returned_outputs(self, name: str, group: Sequence[str]) -> list[int]:
        """Return the outputs that other steps read, or all of a node that nothing follows."""
        node = self._export.nodes[name]
        count = item_nodes.output_count(node)
        if name in self._bridged:
            count = max(count, *(edge.output + 1 for edge in self._edges if edge.source == name), 1)
        leaving = {edge.output for edge in self._edges if edge.source == name and edge.target not in group}
        if not any(edge.source == name for edge in self._edges):
            return list(range(count))
        readers = (other for other in self._export.nodes.values() if other.name not in group)
        if any(name in item_nodes.referenced_nodes(other) for other in readers):
            leaving.add(0)
        return sorted(output for output in leaving if output < count)

    def _group_entry(self, node: Node, group: Sequence[str], step_id: str) -> ReportEntry:
        notes = [*item_nodes.differences(node), *agents.differences(self._export, node)]
        outside = sorted(item_nodes.paired_nodes(node) - {*group})
        notes += [f"the item of {name!r} for an item is the one in its place" for name in outside]
        if (
            self._export.execution_order != "v1"
            and len({edge.target for edge in self._edges if edge.source == node.name}) > 1
        ):
            notes.append("the order of its branches is that of n8n since version 1")
        leaves = any(edge.source == node.name and edge.target not in group for edge in self._edges)
        if leaves and self._runs_often(group):
            notes.append("the items of all its runs go on together")
        outcome = ConversionOutcome.APPROXIMATED if notes else ConversionOutcome.EXACT
        if node.disabled:
            notes.append("it is disabled and passes its items through")
        return ReportEntry(node.name, node.type, outcome, [step_id], notes)

    def _runs_often(self, group: Sequence[str]) -> bool:
        """Return whether nodes of a group can run more than once: in a loop, or where two branches meet."""
        targets = [(edge.target, edge.input) for edge in self._edges if edge.target in group]
        return any(name in loop for loop in self._loops for name in group) or len(targets) > len(set(targets))

    # ---- Other nodes ------------------------------------------------------------------------------------------------

    def _convert_node(self, node: Node) -> ReportEntry:
        incoming = [edge for edge in self._edges if edge.target == node.name and edge.source in self._results]
        needs = list(dict.fromkeys(step for edge in incoming for step in self._results[edge.source].needs))
        inputs, joining_steps = self._join_long_inputs(node, self._inputs(incoming), needs)
        needs = [*needs, *joining_steps]
        context = NodeContext(node, inputs, timezone=self._zone, workflow=self._export.name)
        try:
            if node.name in self._left_out:
                raise Untranslatable("the definition would be too large")
            if agents.is_agent(node):
                raise Untranslatable(agents.reason_against(self._export, node) or "")
            conversion = convert_node(context)
            conversion, needs = self._with_values(context, conversion, needs)
            check_storable(conversion, self._expressions)
        except Untranslatable as reason:
            context.notes.append(str(reason))
            conversion = failing_conversion(node, context.items, str(reason))
        notes = list(context.notes)
        if node.name in self._opened_loops:
            notes.append("the loop body runs for all items, not in batches; the steps after the loop start later")
            conversion = replace(
                conversion,
                outcome=ConversionOutcome.APPROXIMATED,
                outputs=[conversion.outputs[0], conversion.outputs[0]],
            )
        if node.name in self._conditions and conversion.step is not None:
            condition, note = self._conditions[node.name]
            notes.append(note)
            trigger = None if condition == NEVER else conversion.trigger
            step = {**conversion.step, "when": f"{{% {condition} %}}"}
            conversion = replace(conversion, step=step, trigger=trigger)
        return self._add_result(node, conversion, needs, notes)

    def _with_values(
        self, context: NodeContext, conversion: Conversion, needs: list[str]
    ) -> tuple[Conversion, list[str]]:
        """Add a step in the sandbox that evaluates the node's parameters for each item, if they have expressions."""
        node, step = context.node, conversion.step
        runs_once = step is not None and "for_each" not in step and not context.takes_all
        is_limited = runs_once or node.raw.get("executeOnce") is True
        if step is None or not (context.values or (is_limited and "for_each" in step)):
            return conversion, needs
        if not all(item_nodes.is_storable(value["raw"]) for value in context.values):
            raise Untranslatable("its parameters have too many levels, or names that look like our expressions")
        step_id = self._unused_id(f"{node.step}-values")
        given, given_needs, condition = self._given([node.name])
        edges = [edge for edge in self._edges if edge.target == node.name and edge.source in given]
        values = [{"kind": value["kind"], "raw": item_nodes.quoted(value["raw"])} for value in context.values]
        evaluated = {"name": item_nodes.quoted(node.name), "type": "values", "parameters": {"values": values}}
        result = item_nodes.ReturnedOutput("values_0", node.name, 0)
        nodes = [evaluated | ({"executeOnce": True} if is_limited else {})]
        evaluation = sandbox_step(self._export, self._zone, given, nodes, connections_of(edges), [result])
        self._steps.append({"id": step_id, **evaluation, "needs": given_needs, "when": condition})
        outside = sorted(item_nodes.paired_nodes(node) - {edge.source for edge in edges})
        context.notes += [f"the item of {name!r} for an item is the one in its place" for name in outside]
        items = f"$append($steps.`{step_id}`.items.values_0, [])"
        outputs = context.with_values({"outputs": list(conversion.outputs)}, items)["outputs"]
        return replace(conversion, step=context.with_values(step, items), outputs=outputs), [*needs, step_id]

    def _unused_id(self, step_id: str) -> str:
        while step_id in self._step_ids:
            step_id += "x"
        self._step_ids.add(step_id)
        return step_id

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
        ids = self._add_steps(needs, step, conversion.following)
        step_result = f"$steps.`{ids[-1]}`"
        # In brackets: a single item must stay a list, and a skipped step has no result. Items that only pass through
        # have them already.
        outputs = [
            f"[{output.replace('$self', step_result)}]" if "$self" in output else output
            for output in conversion.outputs
        ]
        self._results[node.name] = _NodeResult(outputs, [ids[-1]])
        return ReportEntry(node.name, node.type, conversion.outcome, ids, notes)

    def _add_steps(
        self, needs: Sequence[str], step: Mapping[str, Any], following: Sequence[FollowingStep]
    ) -> list[str]:
        """Add a step and those that go on with its results. Return their ids."""
        self._steps.append({**step, "needs": list(needs)})
        ids = [str(step["id"])]
        for one in following:
            ids.append(self._unused_id(f"{ids[0]}-{one.suffix}"))
            results = {"$first": f"$steps.`{ids[0]}`", "$before": f"$steps.`{ids[-2]}`"}
            self._steps.append({"id": ids[-1], **replaced(one.step, results), "needs": ids[:-1]})
        return ids

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
                name = self._unused_id(f"{node.step}-in{number}")
                arguments = {"items": f"{{% [$append({items}, [])] %}}"}
                self._steps.append({"id": name, "uses": "transform", "needs": list(needs), "with": arguments})
                inputs[number] = f"[$steps.`{name}`.items]"
                joining_steps.append(name)
                self._joining.add(name)
        return inputs, joining_steps
