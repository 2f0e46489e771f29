"""The context of the n8n node that is being converted, and the resulting conversion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from email_sender.workflows.n8n.export import ConversionOutcome, Node
from email_sender.workflows.n8n.item_nodes import quoted, texts_in

# Stands for the values of a step that runs once.
_VALUES: Final = "$values"


class Untranslatable(Exception):
    """No step does what a node does. The message says why."""


@dataclass
class NodeContext:
    """What a converter knows about its node.

    `inputs` holds the JSONata of the items at each input, and `workflow` the workflow's name. `notes` collects
    differences from n8n's behaviour. `values` collects the parameters that the sandbox evaluates for each item. For a
    step that runs once, it evaluates them for the first item, or for each one if the step `takes_all` items.
    """

    node: Node
    inputs: Mapping[int, str]
    notes: list[str] = field(default_factory=list)
    timezone: str = "UTC"
    workflow: str = ""
    values: list[dict[str, Any]] = field(default_factory=list)
    takes_all: bool = False

    @property
    def items(self) -> str:
        return self.inputs.get(0, "[]")

    def get(self, name: str, default: Any = None) -> Any:
        return self.node.parameters.get(name, default)

    def value(self, parameter: Any) -> Any:
        """Return a parameter for use in a for_each: as it is, or the JSONata of its value for the current item."""
        if any(text.startswith("=") for text in texts_in(parameter)):
            return self._evaluated("value", parameter)
        return quoted(parameter)

    def string(self, parameter: Any) -> Any:
        """Return a parameter as `value` does; other values than texts become texts."""
        is_computed = any(text.startswith("=") for text in texts_in(parameter))
        return self._evaluated("string", parameter) if is_computed else quoted(str(parameter))

    def text(self, parameter: Any) -> str:
        """Return the JSONata of a parameter's text, without the tags that it has as HTML."""
        return self._evaluated("text", parameter)

    def addresses(self, parameter: str) -> str:
        """Return the JSONata of an address. An item with several addresses is an item for each."""
        return self._evaluated("addresses", parameter)

    def first(self, parameter: Any, kind: str = "value") -> str:
        """Return the JSONata, without its marks, of a parameter's value for the first item: for a step that runs once.

        Its `kind` is one of nodes/values.js.
        """
        self.values.append({"kind": kind, "raw": parameter})
        return f"{_VALUES}[0].v{len(self.values) - 1}"

    def call(self, mapping: Any) -> str:
        """Return the JSONata of the item that a call passes to another workflow, for the current item."""
        return self._evaluated("call", mapping)

    def calls(self, mapping: Any) -> str:
        """Return the JSONata, without its marks, of the items that a call passes to another workflow."""
        self.takes_all = True
        self.values.append({"kind": "call", "raw": mapping})
        return f"[{_VALUES}.v{len(self.values) - 1}]"

    def with_values(self, step: Mapping[str, Any], items: str) -> Mapping[str, Any]:
        """Return the step with these `items`, in JSONata, which have the values of its parameters."""
        if "for_each" in step:
            return {**step, "for_each": f"{{% [{items}] %}}"}
        return dict(replaced(step, {_VALUES: items}))

    def _evaluated(self, kind: str, parameter: Any) -> str:
        self.values.append({"kind": kind, "raw": parameter})
        return f"{{% $item.v{len(self.values) - 1} %}}"


@dataclass(frozen=True, slots=True)
class FollowingStep:
    """One more step of a node. In `step`, `$first` is the result of the first step, and `$before` that of the last."""

    suffix: str
    step: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a node is converted to.

    `step` has no `id` and no `needs`: the importer adds both. A `step` of None means that the node only passes its
    items through. `outputs` is the JSONata of the items at each output, with `$self` for the step's result. `trigger`
    is the definition of the trigger that starts runs. `following` are more steps: `$self` is the last one's result.
    """

    outcome: ConversionOutcome
    step: Mapping[str, Any] | None = None
    outputs: Sequence[str] = ("$self.items",)
    trigger: Mapping[str, Any] | None = None
    following: Sequence[FollowingStep] = ()


def transform_conversion(**values: str) -> Conversion:
    """Return a transform step. `values` is the JSONata of each output, by the output's name."""
    step = {"uses": "transform", "with": {name: f"{{% {value} %}}" for name, value in values.items()}}
    return Conversion(ConversionOutcome.EXACT, step, [f"$self.{name}" for name in values])


def for_each_conversion(
    context: NodeContext, arguments: Mapping[str, Any], *, uses: str, result_field: str
) -> Conversion:
    """Return an action that runs for each item. `result_field` of its result is the new item; "$" is the result."""
    step: dict[str, Any] = {"uses": uses, "for_each": f"{{% {context.items} %}}", "with": arguments}
    if context.node.max_attempts > 1:
        step["retry"] = {"max_attempts": context.node.max_attempts}
    return Conversion(
        ConversionOutcome.APPROXIMATED, step, ["$self" if result_field == "$" else f"$self.{result_field}"]
    )


def failing_conversion(node: Node, items: str, reason: str) -> Conversion:
    """Return a step that fails with the node's name if n8n would have reached the node."""
    message = f"The node {node.name} ({node.type}) was not imported: {reason}."[:500]
    quoted = "".join(character if character.isalnum() or character in " .,:;()_-/" else " " for character in message)
    step = {
        "uses": "transform",
        "when": f"{{% $count({items}) > 0 %}}",
        "with": {"items": f'{{% $error("{quoted}") %}}'},
    }
    return Conversion(ConversionOutcome.UNSUPPORTED, step, ["$self.items"])


def replaced(value: Any, names: Mapping[str, str]) -> Any:
    """Return a step with other texts in place of these names."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(name, text)
        return value
    if isinstance(value, Mapping):
        return {key: replaced(nested, names) for key, nested in value.items()}
    return [replaced(nested, names) for nested in value] if isinstance(value, list) else value
