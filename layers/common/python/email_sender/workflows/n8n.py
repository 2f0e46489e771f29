"""A workflow of n8n as a definition, with a report of what each of its nodes became."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from email_sender.workflows.expressions import BadExpression, ExpressionChecker
from email_sender.workflows.n8n_expressions import Untranslatable
from email_sender.workflows.n8n_model import Edge, Entry, Export, How, Node, read_export
from email_sender.workflows.n8n_nodes import become, is_trigger
from email_sender.workflows.n8n_place import Became, Place
from email_sender.workflows.triggers import MAX_TRIGGERS, is_zone

_LOOP = "splitInBatches"
# Where many lists come together, a step of its own joins them, so that expressions do not grow from node to node.
_LONG = 500


@dataclass(frozen=True, slots=True)
class Imported:
    """`report` has an entry for every node of the export, in its order."""

    definition: Mapping[str, Any]
    report: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class _Done:
    """`outputs` are the items at each output; `needs` the steps that must have ended for them."""

    outputs: Sequence[str]
    needs: Sequence[str]

    def items(self, output: int) -> str:
        return self.outputs[output] if output < len(self.outputs) else "[]"


def import_n8n(raw: Mapping[str, Any], expressions: ExpressionChecker) -> Imported:
    """The definition is whole: a node that has no counterpart becomes a step that fails by name if it is reached.

    Raises:
        InvalidInput: it is no export of n8n.
    """
    export = read_export(raw)
    return _Import(export, expressions).made()


class _Import:
    def __init__(self, export: Export, expressions: ExpressionChecker) -> None:
        self._export, self._expressions = export, expressions
        self._done: dict[str, _Done] = {}
        self._taken = {node.step for node in export.nodes.values()}
        self._steps: list[dict[str, Any]] = []
        self._triggers: list[Mapping[str, Any]] = []
        self._entries: dict[str, Entry] = {}
        self._edges, self._loops = _without_cycles(export)
        # "DEFAULT" is the time zone of the installation, which an export does not tell.
        self._zone = export.timezone if is_zone(export.timezone) else "UTC"

    def made(self) -> Imported:
        for name in _ordered(self._export.nodes, self._edges):
            self._entries[name] = self._node(self._export.nodes[name])
        steps = self._steps or [{"id": "nothing", "uses": "transform", "with": {}}]
        definition = {
            "name": self._export.name,
            "description": "Imported from n8n.",
            "inputs": {"type": "object"},
            **({"triggers": self._triggers[:MAX_TRIGGERS]} if self._triggers else {}),
            "steps": steps,
        }
        return Imported(definition, [self._entries[name] for name in self._export.nodes])

    def _node(self, node: Node) -> Entry:
        if node.type == "stickyNote":
            return Entry(node.name, node.type, How.DROPPED, notes=["a note of the canvas"])
        if node.name in self._export.parts:
            served = self._export.parts[node.name]
            return Entry(node.name, node.type, How.DROPPED, notes=[f"it is a part of {served!r}"])
        into = [edge for edge in self._edges if edge.target == node.name and edge.source in self._done]
        if not into and not is_trigger(node):
            return Entry(node.name, node.type, How.DROPPED, notes=["no trigger leads to it"])
        needs = list(dict.fromkeys(step for edge in into for step in self._done[edge.source].needs))
        inputs, gathered = self._gathered(node, self._inputs(into), needs)
        needs = [*needs, *gathered]
        place = Place(node, inputs, self._items_of, timezone=self._zone)
        try:
            made = Became(How.EXACT, None, [place.items]) if node.disabled else become(place)
            self._check(made)
        except Untranslatable as reason:
            place.notes.append(str(reason))
            made = _failing(node, place.items, str(reason))
        notes = [*place.notes, *(["it is disabled and hands its items on"] if node.disabled else [])]
        if node.name in self._loops:
            notes.append("what it loops over is done for each item; its body ends before what is done after it")
            made = replace(made, how=How.APPROXIMATED, outputs=[made.outputs[0], made.outputs[0]])
        return self._placed(node, made, needs, notes)

    def _check(self, made: Became) -> None:
        """Raises Untranslatable where what was made is none of our expressions: too long, as a rule."""
        for source in _expressions(made.step):
            try:
                self._expressions.check(source)
            except BadExpression as error:
                raise Untranslatable(f"its expression {error}") from None

    def _placed(self, node: Node, made: Became, needs: Sequence[str], notes: Sequence[str]) -> Entry:
        if made.step is None:
            self._done[node.name] = _Done(made.outputs, needs)
            return Entry(node.name, node.type, made.how, notes=notes)
        if made.trigger is not None:
            self._triggers.append(made.trigger)
        step = {"id": node.step, **made.step, "needs": list(needs)}
        if node.continues and made.how is not How.UNSUPPORTED:
            step["on_error"] = "continue"
        self._steps.append(step)
        own = f"$steps.`{node.step}`"
        # In brackets: one item is a list here, too, and a step that was skipped gave none.
        outputs = [f"[{each.replace('$self', own)}]" for each in made.outputs]
        self._done[node.name] = _Done(outputs, [node.step])
        return Entry(node.name, node.type, made.how, [node.step], notes)

    def _inputs(self, into: Sequence[Edge]) -> dict[int, str]:
        found: dict[int, str] = {}
        for edge in into:
            items = self._done[edge.source].items(edge.output)
            found[edge.input] = f"$append({found[edge.input]}, {items})" if edge.input in found else items
        return found

    def _gathered(self, node: Node, inputs: dict[int, str], needs: Sequence[str]) -> tuple[dict[int, str], list[str]]:
        """The inputs, those that are long by way of a step; and these steps."""
        added = []
        for number, items in inputs.items():
            if len(items) > _LONG:
                name = f"{node.step}-in{number}"
                while name in self._taken:
                    name += "x"
                self._taken.add(name)
                made = {"items": f"{{% [$append({items}, [])] %}}"}
                self._steps.append({"id": name, "uses": "transform", "needs": list(needs), "with": made})
                inputs[number] = f"[$steps.`{name}`.items]"
                added.append(name)
        return inputs, added

    def _items_of(self, name: str) -> str | None:
        done = self._done.get(name)
        return done.items(0) if done else None


def _expressions(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("{%"):
            yield value.removeprefix("{%").removesuffix("%}").strip()
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _expressions(each)


def _failing(node: Node, items: str, reason: str) -> Became:
    """Fails by the node's name, where n8n would have reached it."""
    words = f"The node {node.name} ({node.type}) was not imported: {reason}."[:500]
    quoted = "".join(each if each.isalnum() or each in " .,:;()_-/" else " " for each in words)
    step = {
        "uses": "transform",
        "when": f"{{% $count({items}) > 0 %}}",
        "with": {"items": f'{{% $error("{quoted}") %}}'},
    }
    return Became(How.UNSUPPORTED, step, ["$self.items"])


def _without_cycles(export: Export) -> tuple[list[Edge], frozenset[str]]:
    """The edges but those that lead back, and the nodes that began a loop.

    A loop node's body comes back to it; what follows the loop follows the body's end instead.
    """
    feeds: dict[str, list[Edge]] = {name: [] for name in export.nodes}
    for edge in export.edges:
        feeds[edge.source].append(edge)
    back: set[Edge] = set()
    state: dict[str, int] = {}
    for start in export.nodes:
        if start in state:
            continue
        stack = [(start, iter(feeds[start]))]
        state[start] = 1
        while stack:
            name, edges = stack[-1]
            for edge in edges:
                if state.get(edge.target) == 1:
                    back.add(edge)
                elif edge.target not in state:
                    state[edge.target] = 1
                    stack.append((edge.target, iter(feeds[edge.target])))
                    break
            else:
                state[name] = 2
                stack.pop()
    kept = [edge for edge in export.edges if edge not in back]
    loops = frozenset(edge.target for edge in back)
    for edge in sorted(back, key=lambda each: (each.target, each.source)):
        if export.nodes[edge.target].type == _LOOP:
            # The body hangs on the second output since version 3, on the first before.
            body = 1 if export.nodes[edge.target].version >= 3 else 0
            kept = _after_the_body(kept, edge, body)
    return kept, loops


def _after_the_body(edges: Sequence[Edge], back: Edge, body: int) -> list[Edge]:
    """What hangs on a loop's "done" output hangs on the end of its body."""
    moved = []
    for edge in edges:
        if edge.source == back.target and edge.output != body and edge.target != back.source:
            moved.append(Edge(back.source, back.output, edge.target, edge.input))
        else:
            moved.append(edge)
    return list(dict.fromkeys(moved))


def _ordered(nodes: Mapping[str, Node], edges: Sequence[Edge]) -> list[str]:
    """Every node after those that lead to it, and else in the export's order."""
    waits = {name: {edge.source for edge in edges if edge.target == name} for name in nodes}
    found: list[str] = []
    left = list(nodes)
    while left:
        placed = set(found)
        # Where moving a loop's end made a circle after all, the first goes first.
        ready = next((name for name in left if waits[name] <= placed), left[0])
        found.append(ready)
        left.remove(ready)
    return found
