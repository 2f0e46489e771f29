"""Check expressions with jsonata-python: parse, then walk the tree to see what each reads.

The parser is imported when the first expression comes: only the function that stores workflows pays for it.
"""

from collections.abc import Iterator
from typing import Any, Final

from email_sender.workflows.expressions import VARIABLES, BadExpression, References
from email_sender.workflows.reading import did_you_mean

MAX_CHARACTERS = 8_000
_DEPTH = 200
_RESERVED: Final = VARIABLES | {"states"}

# JSONata 2.0.6 without $eval, which Step Functions leaves out, and the six that Step Functions adds.
# fmt: off
FUNCTIONS: Final = frozenset({
    "abs", "append", "assert", "average", "base64decode", "base64encode", "boolean", "ceil", "contains", "count",
    "decodeUrl", "decodeUrlComponent", "distinct", "each", "encodeUrl", "encodeUrlComponent", "error", "exists",
    "filter", "floor", "formatBase", "formatInteger", "formatNumber", "fromMillis", "join", "keys", "length", "lookup",
    "lowercase", "map", "match", "max", "merge", "millis", "min", "not", "now", "number", "pad", "parseInteger",
    "power", "random", "reduce", "replace", "reverse", "round", "shuffle", "sift", "single", "sort", "split", "spread",
    "sqrt", "string", "substring", "substringAfter", "substringBefore", "sum", "toMillis", "trim", "type", "uppercase",
    "zip",
    "hash", "parse", "partition", "range", "uuid",
})
# fmt: on


class JsonataExpressions:
    """Implements workflows.expressions.ExpressionChecker."""

    def check(self, source: str) -> References:
        if len(source) > MAX_CHARACTERS:
            raise BadExpression(f"has {len(source)} characters, and an expression may have {MAX_CHARACTERS}")
        walk = _Walk()
        try:
            walk.visit(_parse(source), frozenset(), context=False)
        except RecursionError:
            raise BadExpression("is nested too deeply") from None
        return References(frozenset(walk.roots), frozenset(walk.steps), walk.whole_steps)


def _parse(source: str) -> Any:
    from jsonata import jsonata
    from jsonata.jexception import JException

    try:
        return jsonata.Jsonata(source).ast
    except JException as error:
        raise BadExpression(f"is not JSONata: {error}", getattr(error, "location", None)) from error
    except RecursionError:
        raise
    except Exception as error:
        # The port lets some of Python's own errors out, such as re.error for a bad regular expression.
        raise BadExpression(f"is not JSONata: {error}") from error


type _Scope = frozenset[str]


class _Walk:
    """`scope` holds the names bound by the expression itself.

    `context` is true where a bare name means something: inside a path, a filter or a transform. At the top there is no
    input to look in, so `inputs.query` (the dollar sign forgotten) would always be nothing.
    """

    def __init__(self) -> None:
        self.roots: set[str] = set()
        self.steps: set[str] = set()
        self.whole_steps = False
        self._depth = 0

    def visit(self, node: Any, scope: _Scope, *, context: bool) -> _Scope:
        """Return the scope that what follows `node` sees."""
        self._depth += 1
        if self._depth > _DEPTH:
            raise BadExpression("is nested too deeply")
        scope = self._visit(node, scope, context=context)
        self._depth -= 1
        return scope

    def _visit(self, node: Any, scope: _Scope, *, context: bool) -> _Scope:
        if isinstance(node, list | tuple):
            for one in node:
                self.visit(one, scope, context=context)
            return scope
        match getattr(node, "type", None):
            case None | "string" | "number" | "value" | "regex" | "operator" | "wildcard" | "descendant" | "parent":
                return scope
            case "path":
                self._path(node, scope, context=context)
            case "variable":
                self._variable(node, scope, context=context)
                self._tail(node, scope)
            case "name":
                if not context:
                    hint = f"; did you mean ${node.value}?" if node.value in VARIABLES else ""
                    raise BadExpression(f"{node.value!r} has nothing to look in{hint}", node.position)
                self._tail(node, scope)
            case "bind":
                self._bindable(node.lhs)
                bound = scope | {node.lhs.value}
                # A function may call itself by its own name.
                self.visit(node.rhs, bound if _is_lambda(node.rhs) else scope, context=context)
                return bound
            case "block":
                inner = scope
                for one in node.expressions:
                    inner = self.visit(one, inner, context=context)
                self._tail(node, scope)
            case "lambda":
                for argument in node.arguments or ():
                    self._bindable(argument)
                inner = scope | {argument.value for argument in node.arguments or ()}
                self.visit(node.body, inner, context=context)
            case "function" | "partial":
                self.visit(node.procedure, scope, context=context)
                self.visit(node.arguments, scope, context=context)
                self._tail(node, scope)
            case "condition":
                _refuse_newer(node)
                self.visit([node.condition, node.then, getattr(node, "_else", None)], scope, context=context)
                self._tail(node, scope)
            case "transform":
                for part in ("pattern", "update", "delete"):
                    self.visit(getattr(node, part, None), scope, context=True)
            case _:
                for part in _PARTS:
                    self.visit(getattr(node, part, None), scope, context=context)
                self._tail(node, scope)
        return scope

    def _path(self, node: Any, scope: _Scope, *, context: bool) -> None:
        first, *rest = node.steps
        if _is_variable(first, "steps") and "steps" not in scope:
            self.roots.add("steps")
            self._name_step(first, rest)
            scope = self._tail(first, scope)
        else:
            scope = self.visit(first, scope, context=context) | _focus(first)
        for step in rest:
            scope = self.visit(step, scope, context=True) | _focus(step)
        self._group(node, scope)

    def _name_step(self, first: Any, rest: list[Any]) -> None:
        if rest and getattr(rest[0], "type", None) == "name" and not getattr(first, "predicate", None):
            self.steps.add(str(rest[0].value))
        else:
            self.whole_steps = True

    def _variable(self, node: Any, scope: _Scope, *, context: bool) -> None:
        name = str(node.value)
        if name == "$" or (name == "" and not context):
            raise BadExpression(f"${name} has nothing to stand for here", node.position)
        if name in scope or name == "":
            return
        if name == "states":
            raise BadExpression("$states belongs to the platform: use $inputs, $steps, $item or $run", node.position)
        if name == "eval":
            raise BadExpression("$eval is not allowed", node.position)
        if name in VARIABLES:
            self.roots.add(name)
            self.whole_steps |= name == "steps"
        elif name not in FUNCTIONS:
            hint = did_you_mean(name, VARIABLES | FUNCTIONS).replace("'", "")
            hint = hint.replace("you mean ", "you mean $") or "; known are $inputs, $steps, $item and $run"
            raise BadExpression(f"there is no ${name}{hint}", node.position)

    def _bindable(self, node: Any) -> None:
        if node.value in _RESERVED:
            raise BadExpression(f"${node.value} is given by the platform: choose another name", node.position)

    def _tail(self, node: Any, scope: _Scope) -> _Scope:
        """Filters, grouping and sorting behind a node: all look inside its value."""
        scope = scope | _focus(node)
        for part in ("predicate", "stages"):
            for stage in getattr(node, part, None) or ():
                self.visit(getattr(stage, "expr", None), scope, context=True)
        for term in getattr(node, "terms", None) or ():
            self.visit(term.expression, scope, context=True)
        self._group(node, scope)
        return scope

    def _group(self, node: Any, scope: _Scope) -> None:
        for pair in getattr(getattr(node, "group", None), "lhs_object", None) or ():
            self.visit(pair, scope, context=True)


# Every place of a node that may hold others, for the types without a rule of their own.
_PARTS: Final = ("lhs", "rhs", "expression", "expressions", "lhs_object", "rhs_object")


def _refuse_newer(node: Any) -> None:
    """`a ?: b` and `a ?? b` came with JSONata 2.1, and Step Functions has 2.0.6.

    The parser makes them a ? a : b, and both a stand at the same place of the source.
    """
    tested = node.condition
    if getattr(tested, "type", None) == "function" and getattr(tested.procedure, "value", None) == "exists":
        tested = (tested.arguments or [None])[0]
    if _place(node.then) is not None and _place(node.then) == _place(tested):
        raise BadExpression("the operators ?: and ?? are not known to Step Functions: write a ? a : b", node.position)


def _place(node: Any) -> int | None:
    while steps := getattr(node, "steps", None):
        node = steps[0]
    return getattr(node, "position", None)


def _is_variable(node: Any, name: str) -> bool:
    return getattr(node, "type", None) == "variable" and node.value == name


def _is_lambda(node: Any) -> bool:
    return getattr(node, "type", None) == "lambda"


def _focus(node: Any) -> _Scope:
    return frozenset(_focus_names(node))


def _focus_names(node: Any) -> Iterator[str]:
    for part in ("focus", "index"):
        if isinstance(name := getattr(node, part, None), str):
            yield name
    for stage in getattr(node, "stages", None) or ():
        if getattr(stage, "type", None) == "index" and isinstance(stage.value, str):
            yield stage.value
