"""The context of the n8n node that is being converted, and the resulting conversion."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from email_sender.workflows.n8n.export import ConversionOutcome, Node
from email_sender.workflows.n8n.expressions import Untranslatable, translate


@dataclass
class NodeContext:
    """What a converter knows about its node.

    `inputs` holds the JSONata of the items at each input. `items_of` returns the JSONata of an earlier node's items by
    that node's name, or None if no such node precedes this one. `notes` collects differences from n8n's behaviour.
    """

    node: Node
    inputs: Mapping[int, str]
    items_of: Callable[[str], str | None]
    notes: list[str] = field(default_factory=list)
    timezone: str = "UTC"

    @property
    def items(self) -> str:
        return self.inputs.get(0, "[]")

    def get(self, name: str, default: Any = None) -> Any:
        return self.node.parameters.get(name, default)

    def expression(self, parameter: object) -> str:
        """Translate a parameter into JSONata over $json. Raises Untranslatable."""
        if isinstance(parameter, str):
            translated = translate(parameter, self.items_of)
            self.notes += translated.notes
            return translated.source
        if isinstance(parameter, list):
            return "[" + ", ".join(self.expression(element) for element in parameter) + "]"
        if isinstance(parameter, dict):
            fields = (f"{json.dumps(str(key))}: {self.expression(element)}" for key, element in parameter.items())
            return "{" + ", ".join(fields) + "}"
        if (isinstance(parameter, float) and parameter != parameter) or parameter in (float("inf"), float("-inf")):
            raise Untranslatable("numbers must be finite")
        return json.dumps(parameter)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a node is converted to.

    `step` has no `id` and no `needs`: the importer adds both. A `step` of None means that the node only passes its
    items through. `outputs` is the JSONata of the items at each output, with `$self` for the step's result. `trigger`
    is the definition of the trigger that starts runs.
    """

    outcome: ConversionOutcome
    step: Mapping[str, Any] | None = None
    outputs: Sequence[str] = ("$self.items",)
    trigger: Mapping[str, Any] | None = None


def transform_conversion(**values: str) -> Conversion:
    """Return a transform step. `values` is the JSONata of each output, by the output's name."""
    step = {"uses": "transform", "with": {name: f"{{% {value} %}}" for name, value in values.items()}}
    return Conversion(ConversionOutcome.EXACT, step, [f"$self.{name}" for name in values])


def for_each_conversion(
    context: NodeContext, arguments: Mapping[str, Any], uses: str = "http.request", result_field: str = "body"
) -> Conversion:
    """Return an action that runs for each item. `result_field` of its result is the new item; "$" is the result."""
    step: dict[str, Any] = {"uses": uses, "for_each": f"{{% {context.items} %}}", "with": arguments}
    if context.node.max_attempts > 1:
        step["retry"] = {"max_attempts": context.node.max_attempts}
    return Conversion(
        ConversionOutcome.APPROXIMATED, step, ["$self" if result_field == "$" else f"$self.{result_field}"]
    )


def item_expression(context: NodeContext, parameter: object) -> object:
    """Return a parameter for use in a for_each, where $json is the current item."""
    if isinstance(parameter, str) and not parameter.startswith("="):
        # A text that looks like one of the platform's expressions is quoted.
        return f"{{% {json.dumps(parameter)} %}}" if parameter.lstrip().startswith("{%") else parameter
    return f"{{% ($json := $item; {context.expression(parameter)}) %}}"
