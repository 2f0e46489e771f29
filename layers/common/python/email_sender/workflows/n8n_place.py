"""Where a node of n8n stands, and what it becomes there."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from email_sender.workflows.n8n_expressions import Untranslatable, translate
from email_sender.workflows.n8n_model import How, Node


@dataclass
class Place:
    """Where a node stands. `inputs` is the JSONata of the items at each of its inputs.

    `items_of` gives those of a node before it, by name. `notes` collects what is only nearly the same.
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

    def value(self, given: object) -> str:
        """A parameter as JSONata over $json. Raises Untranslatable."""
        if isinstance(given, str):
            translated = translate(given, self.items_of)
            self.notes += translated.notes
            return translated.source
        if isinstance(given, list):
            return "[" + ", ".join(self.value(each) for each in given) + "]"
        if isinstance(given, dict):
            fields = (f"{json.dumps(str(key))}: {self.value(each)}" for key, each in given.items())
            return "{" + ", ".join(fields) + "}"
        if (isinstance(given, float) and given != given) or given in (float("inf"), float("-inf")):
            raise Untranslatable("a number that is not finite")
        return json.dumps(given)

    def each(self, body: str) -> str:
        """A list made of each item."""
        return f"[$map({self.items}, function($json) {{ {body} }})]"

    def only(self, test: str) -> str:
        return f"[$filter({self.items}, function($json) {{ {test} }})]"


@dataclass(frozen=True, slots=True)
class Became:
    """`step` lacks `id` and `needs`, which its place gives; None: the node only hands on its items.

    `outputs` are the items at each output as JSONata, with `$self` for the step's result. `trigger` starts runs.
    """

    how: How
    step: Mapping[str, Any] | None = None
    outputs: Sequence[str] = ("$self.items",)
    trigger: Mapping[str, Any] | None = None


def computed(**values: str) -> Became:
    """A transform whose values are the node's outputs."""
    step = {"uses": "transform", "with": {name: f"{{% {value} %}}" for name, value in values.items()}}
    return Became(How.EXACT, step, [f"$self.{name}" for name in values])


def each_item(place: Place, arguments: Mapping[str, Any], uses: str = "http.request", gives: str = "body") -> Became:
    """An action for each item; `gives` is the item that its result becomes."""
    step: dict[str, Any] = {"uses": uses, "for_each": f"{{% {place.items} %}}", "with": arguments}
    if place.node.tries > 1:
        step["retry"] = {"max_attempts": place.node.tries}
    return Became(How.APPROXIMATED, step, ["$self" if gives == "$" else f"$self.{gives}"])


def item(place: Place, given: object) -> object:
    """A parameter inside a for_each, whose item is $json there."""
    if isinstance(given, str) and not given.startswith("="):
        # What looks like an expression of ours is quoted.
        return f"{{% {json.dumps(given)} %}}" if given.lstrip().startswith("{%") else given
    return f"{{% ($json := $item; {place.value(given)}) %}}"
